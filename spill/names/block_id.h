// The name of a block, and the dataset it is a part of (BLK-9).
#ifndef TASKMEM_SPILL_NAMES_BLOCK_ID_H_
#define TASKMEM_SPILL_NAMES_BLOCK_ID_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace taskmem {

// A value; it holds the name itself. The default is no block.
class BlockId {
 public:
  static constexpr size_t kMaxNameBytes = 127;
  static constexpr int64_t kNoRdd = -1;

  BlockId() = default;

  // Any name of 1 to kMaxNameBytes bytes. False, and `id` as it was: it is none.
  static bool FromName(std::string_view name, BlockId* id);
  // Only names that Spark has, such as rdd_1_2, broadcast_3, shuffle_1_2_3, test_x. Spark
  // refuses others: UnrecognizedBlockId.
  static bool Parse(std::string_view name, BlockId* id);

  // The dataset of a name of the form rdd_<dataset>_<part>; kNoRdd for others.
  static int64_t RddIdOf(std::string_view name);

  std::string_view name() const { return {name_, length_}; }
  const char* c_str() const { return name_; }
  int64_t rdd_id() const { return rdd_id_; }
  uint32_t hash() const { return hash_; }

  friend bool operator==(const BlockId& a, const BlockId& b) {
    return a.hash_ == b.hash_ && a.name() == b.name();
  }

 private:
  void Assign(std::string_view name);

  int64_t rdd_id_ = kNoRdd;
  uint32_t hash_ = 0;
  uint8_t length_ = 0;
  char name_[kMaxNameBytes + 1] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_BLOCK_ID_H_
