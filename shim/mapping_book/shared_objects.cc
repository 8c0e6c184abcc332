#include "shim/mapping_book/shared_objects.h"

#include <new>

namespace taskmem {

void SharedObjects::Forget() {
  if (!has_map_ || Counted().size() == 0 || !Counted().Prepare()) return;
  Counted().Clear(0, UINT64_MAX, [](const Region&) {});
}

void SharedObjects::Begin() {
  if (!has_map_) {
    new (counted_) RegionMap(source_);
    has_map_ = true;
  }
  Forget();
  for (Object& object : objects_) {
    object.slots_seen = 0;
    object.is_held = false;
    object.bytes = 0;
  }
}

SharedObjects::Object* SharedObjects::Find(uint64_t device, uint64_t inode, uint32_t slot) {
  Object* unused = nullptr;
  for (Object& object : objects_) {
    if (object.inode == inode && object.device == device) return &object;
    if (object.inode == 0 && unused == nullptr) unused = &object;
  }
  if (unused == nullptr) return nullptr;
  *unused = {};
  unused->device = device;
  unused->inode = inode;
  unused->slot = slot;
  return unused;
}

bool SharedObjects::Count(uint64_t device, uint64_t inode, uint64_t offset, uint64_t start,
                          uint64_t bytes, uint32_t slot, Counter count) {
  constexpr uint64_t kMostOffset = uint64_t{1} << kOffsetBits;
  if (offset >= kMostOffset || bytes > kMostOffset - offset) return false;
  if (!Counted().Prepare()) return false;
  Object* const object = Find(device, inode, slot);
  if (object == nullptr) return false;
  ++object->slots_seen;
  if (slot == object->slot) object->is_held = true;
  object->other_slot = slot;
  const uint64_t first = static_cast<uint64_t>(object - objects_) << kOffsetBits | offset;
  const uint64_t after = first + bytes;
  // The gaps between what has been counted.
  uint64_t at = first;
  const auto count_until = [&](uint64_t until) {
    if (until > at) object->bytes += count(start + (at - first), until - at);
  };
  Counted().ForEachIn(first, after, [&](const Region& counted) {
    count_until(counted.start);
    at = counted.end;
  });
  count_until(after);
  Counted().Set(first, after, 1, [](const Region&) {});
  return true;
}

}  // namespace taskmem
