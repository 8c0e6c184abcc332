// A partition id and a record's encoded address in one word: 24 bits of partition,
// 13 of page number, 27 of offset (SPL-4).
#ifndef TASKMEM_ACCOUNTING_SPARK_PACKED_RECORD_POINTER_H_
#define TASKMEM_ACCOUNTING_SPARK_PACKED_RECORD_POINTER_H_

#include <cstdint>

#include "accounting/memory/memory_error.h"
#include "accounting/tasks/page_table.h"

namespace taskmem {

// Words compare by partition first. Pages used with it hold 128 MiB at most: an offset
// of 2^27 or more is cut, as in Spark.
class PackedRecordPointer {
 public:
  static constexpr int kPartitionBits = 24;
  static constexpr int kRecordOffsetBits = 27;
  static constexpr int64_t kMaximumPageBytes = int64_t{1} << kRecordOffsetBits;
  static constexpr int kMaximumPartitionId = (1 << kPartitionBits) - 1;

  // kInvalidArgument: no such partition.
  static Result<uint64_t> PackPointer(uint64_t record_address, int partition);

  constexpr explicit PackedRecordPointer(uint64_t packed) : packed_(packed) {}

  constexpr int partition_id() const {
    return static_cast<int>(packed_ >> (kPageNumberBits + kRecordOffsetBits));
  }
  // The address as EncodeAddress made it.
  constexpr uint64_t record_address() const {
    const int page = static_cast<int>(packed_ >> kRecordOffsetBits) & (kPageTableSize - 1);
    return EncodeAddress(page, packed_ & (kMaximumPageBytes - 1));
  }

 private:
  uint64_t packed_;
};

inline Result<uint64_t> PackedRecordPointer::PackPointer(uint64_t record_address, int partition) {
  if (partition < 0 || partition > kMaximumPartitionId) {
    return MemoryError(ErrorCode::kInvalidArgument, partition);
  }
  const uint64_t page = static_cast<uint64_t>(DecodePageNumber(record_address));
  return (static_cast<uint64_t>(partition) << (kPageNumberBits + kRecordOffsetBits)) |
         (page << kRecordOffsetBits) | (record_address & (kMaximumPageBytes - 1));
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SPARK_PACKED_RECORD_POINTER_H_
