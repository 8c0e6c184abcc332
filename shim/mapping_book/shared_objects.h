// Memory objects (memfd, shared anonymous and System V memory) that are mapped at several places
// hold their pages once: ZGC maps its heap three times. They are told apart by device, inode and
// offset, as /proc/self/maps has them.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_SHARED_OBJECTS_H_
#define TASKMEM_SHIM_MAPPING_BOOK_SHARED_OBJECTS_H_

#include <cstdint>

#include "accounting/mappings/region_map.h"
#include "accounting/memory/memory_allocator.h"

namespace taskmem {

// Constant-initialised. Not thread-safe: for whoever looks at what is in memory.
class SharedObjects {
 public:
  explicit constexpr SharedObjects(const MemorySource& source) : source_(source) {}

  // Of [start, start + bytes), at `offset` of the object, what no other place that was counted
  // in this look has: count(start, bytes) returns the bytes in memory there.
  using Counter = uint64_t (*)(uint64_t start, uint64_t bytes);

  // Begins a look. In a forked child, where another thread may have been amid one, ForgetLook
  // comes first.
  void Begin();
  void ForgetLook() { has_map_ = false; }
  // False: there are too many objects; nothing is counted.
  bool Count(uint64_t device, uint64_t inode, uint64_t offset, uint64_t start, uint64_t bytes,
             uint32_t slot, Counter count);
  // Ends it: add(slot, bytes) for each object. It is charged to the slot that was the first to be
  // seen with it, as long as that has it mapped.
  template <typename Add>
  void End(Add add) {
    for (Object& object : objects_) {
      if (object.slots_seen == 0) object.inode = 0;
      if (object.inode == 0) continue;
      if (!object.is_held) object.slot = object.other_slot;
      add(object.slot, object.bytes);
    }
    Forget();
  }

 private:
  static constexpr int kMostObjects = 256;
  static constexpr int kOffsetBits = 48;

  struct Object {
    uint64_t device;
    uint64_t inode;  // 0: free
    uint32_t slot;
    uint32_t slots_seen;  // in this look
    uint32_t other_slot;
    bool is_held;  // by `slot`
    uint64_t bytes;
  };

  Object* Find(uint64_t device, uint64_t inode, uint32_t slot);
  void Forget();
  RegionMap& Counted() { return *reinterpret_cast<RegionMap*>(counted_); }

  const MemorySource source_;
  Object objects_[kMostObjects] = {};
  bool has_map_ = false;
  // (object's index, offset) that have been counted.
  alignas(RegionMap) char counted_[sizeof(RegionMap)] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_SHARED_OBJECTS_H_
