// shmat and shmdt.
#include <sys/shm.h>

#include <atomic>

#include "shim/base/os.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mapping_book/unmapping.h"
#include "shim/mappings/mapping_charge.h"
#include "shim/mappings/mapping_ranges.h"
#include "shim/mappings/mappings.h"

namespace taskmem {
namespace {

using Kind = MappingEvent::Kind;

}  // namespace

void* AttachShared(int id, const void* address, int flags, const void* caller) {
  static std::atomic<uint8_t> serials{0};
  const long result = os::Call(SYS_shmat, id, reinterpret_cast<long>(address), flags);
  if (os::Failed(result)) return AnswerAddress(result);
  const MappingCall call;
  if (!call) return AnswerAddress(result);
  struct shmid_ds segment = {};
  if (os::Failed(os::Call(SYS_shmctl, id, IPC_STAT, reinterpret_cast<long>(&segment)))) {
    return AnswerAddress(result);
  }
  const MappingOwner owner = OwnerOfCall(caller, false, segment.shm_segsz);
  MappingTag tag;
  tag.slot = owner.task.slot;
  tag.library = owner.library;
  tag.kind = MappingClass::kSystemV;
  tag.protection =
      static_cast<uint8_t>((flags & SHM_RDONLY) != 0 ? kMayRead : kMayRead | kMayWrite);
  if ((flags & SHM_EXEC) != 0) tag.protection |= PROT_EXEC;
  // Whoever made it is charged, once, whoever else attaches it.
  tag.rule = segment.shm_cpid == os::ProcessId() ? tag.RuleWhenMapped() : ChargeRule::kShown;
  if (tag.rule != ChargeRule::kShown) NoteSite(owner, segment.shm_segsz, &tag);
  tag.serial = static_cast<uint8_t>(serials.fetch_add(1) + 1);
  const auto start = static_cast<uint64_t>(result);
  NoteEvent({.kind = Kind::kMapped,
             .start = start,
             .end = start + RoundUp(segment.shm_segsz),
             .tag = tag},
            tag.slot, 0);
  return AnswerAddress(result);
}

int DetachShared(const void* address) {
  const auto start = reinterpret_cast<uint64_t>(address);
  const auto argument = static_cast<long>(start);
  if (HoldsBook()) return Answer(os::Call(SYS_shmdt, argument));
  const MappingCall call;
  if (!call) return Answer(os::Call(SYS_shmdt, argument));
  uint64_t end = start;
  {
    LockedBook book;
    uint8_t serial = 0;
    book->ForEachIn(start, UINT64_MAX, [&](uint64_t from, uint64_t to, const MappingTag& tag) {
      if (from != end || tag.kind != MappingClass::kSystemV) return;
      if (from == start) serial = tag.serial;
      if (tag.serial == serial) end = to;
    });
  }
  return Answer(end > start ? UnmapNoted(start, end, SYS_shmdt, argument, 0)
                            : os::Call(SYS_shmdt, argument));
}

}  // namespace taskmem
