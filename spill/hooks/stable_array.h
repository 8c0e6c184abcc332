// An array that grows and never moves: what was read of it once may be read for ever, with no
// lock, so that a stale number finds an entry that is another's now, and not a fault.
#ifndef TASKMEM_SPILL_HOOKS_STABLE_ARRAY_H_
#define TASKMEM_SPILL_HOOKS_STABLE_ARRAY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "accounting/memory/memory_allocator.h"

namespace taskmem {

// Segment k has 64 << k entries. Entries are constructed when their segment is added, and
// destroyed with the array.
template <typename Entry>
class StableArray {
 public:
  static constexpr uint32_t kFirstSegment = 64;
  static constexpr int kSegments = 26;

  explicit StableArray(const MemorySource& source) : source_(source) {}
  StableArray(const StableArray&) = delete;
  StableArray& operator=(const StableArray&) = delete;
  ~StableArray() {
    for (int k = 0; k < kSegments; ++k) {
      if (Entry* const segment = segments_[k].load()) source_.free(segment, source_.context);
    }
  }

  uint32_t size() const { return size_.load(std::memory_order_acquire); }

  // nullptr: there are not so many. Needs no lock.
  Entry* At(uint32_t index) const {
    if (index >= size()) return nullptr;
    const uint64_t from_first = uint64_t{index} + kFirstSegment;
    const int k = 63 - __builtin_clzll(from_first) - 6;
    return segments_[k].load(std::memory_order_acquire) + (from_first - (uint64_t{64} << k));
  }

  // Adds a segment, unless others have since there were `size` entries. Called with no lock
  // held, by several threads at once. False: no memory.
  bool GrowFrom(uint32_t size) {
    const int k = 63 - __builtin_clzll(uint64_t{size} + kFirstSegment) - 6;
    if (k == kSegments) return false;
    const size_t entries = size_t{kFirstSegment} << k;
    void* const memory = source_.allocate(entries * sizeof(Entry), source_.context);
    if (memory == nullptr) return false;
    auto* const segment = static_cast<Entry*>(memory);
    for (size_t i = 0; i < entries; ++i) new (segment + i) Entry;
    Entry* none = nullptr;
    if (!segments_[k].compare_exchange_strong(none, segment, std::memory_order_acq_rel)) {
      source_.free(memory, source_.context);
    }
    // Whoever was first may not have said so yet.
    size_.compare_exchange_strong(size, size + static_cast<uint32_t>(entries),
                                  std::memory_order_acq_rel);
    return true;
  }

  // An array of pointers to arrays, kSegments of them.
  const void* segments() const { return segments_; }

 private:
  static_assert(kFirstSegment == 64);

  const MemorySource source_;
  std::atomic<uint32_t> size_{0};
  std::atomic<Entry*> segments_[kSegments] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_STABLE_ARRAY_H_
