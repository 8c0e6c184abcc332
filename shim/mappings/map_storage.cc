// Memory of cached blocks: the library's own mappings, shown with the program's.
#include "accounting/tasks/task_book.h"
#include "shim/base/os.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mapping_book/unmapping.h"
#include "shim/mappings/mappings.h"

namespace taskmem {

void* MapStorage(uint64_t bytes) {
  void* const start = os::Map(bytes, 0);
  if (start == nullptr) return nullptr;
  const MappingCall call;
  if (!call) return start;
  MappingEvent event;
  event.start = reinterpret_cast<uint64_t>(start);
  event.end = event.start + bytes;
  event.tag.slot = kStorageSlot;
  event.tag.rule = ChargeRule::kShown;
  event.tag.protection = kMayRead | kMayWrite;
  NoteEvent(event, kStorageSlot, 0);
  return start;
}

void UnmapStorage(void* start, uint64_t bytes) {
  const auto at = reinterpret_cast<uint64_t>(start);
  const auto address = static_cast<long>(at);
  const auto length = static_cast<long>(bytes);
  const MappingCall call;
  const long result = call ? UnmapNoted(at, at + bytes, SYS_munmap, address, length)
                           : os::Call(SYS_munmap, address, length);
  // Too many mappings to split one: the pages go, the addresses stay.
  if (os::Failed(result)) os::Call(SYS_madvise, address, length, MADV_DONTNEED);
}

}  // namespace taskmem
