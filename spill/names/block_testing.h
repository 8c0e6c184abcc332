// What all tests of the block store share: ids by name, and memory that can run out.
#ifndef TASKMEM_SPILL_NAMES_BLOCK_TESTING_H_
#define TASKMEM_SPILL_NAMES_BLOCK_TESTING_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "accounting/memory/memory_allocator.h"
#include "spill/names/block_id.h"

namespace taskmem {

inline BlockId Id(std::string_view name) {
  BlockId id;
  EXPECT_TRUE(BlockId::FromName(name, &id)) << name;
  return id;
}

// Memory that can be told to run out, and counts what is not given back.
class TestMemory {
 public:
  MemorySource Source() { return {Allocate, Free, this}; }

  // The allocation of that index from now on fails, and all later ones.
  void FailFrom(int64_t index) { left_ = index; }
  void FailNever() { left_ = INT64_MAX; }
  int64_t live() const { return live_; }

 private:
  static void* Allocate(size_t bytes, void* context) {
    auto* const self = static_cast<TestMemory*>(context);
    if (self->left_ != INT64_MAX && self->left_-- <= 0) return nullptr;
    ++self->live_;
    return malloc(bytes);
  }
  static void Free(void* address, void* context) {
    --static_cast<TestMemory*>(context)->live_;
    free(address);
  }

  std::atomic<int64_t> left_{INT64_MAX};
  std::atomic<int64_t> live_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_BLOCK_TESTING_H_
