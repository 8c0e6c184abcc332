// brk and sbrk.
#include <errno.h>

#include "shim/base/os.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mappings/mapping_charge.h"
#include "shim/mappings/mapping_ranges.h"
#include "shim/mappings/mappings.h"

extern "C" void* __curbrk;  // glibc's: where it believes the break is

namespace taskmem {
namespace {

using Kind = MappingEvent::Kind;

// Moves the break from `old` to `wanted`. Returns where it is then.
uint64_t MoveBreakNoted(uint64_t old, uint64_t wanted, const MappingOwner& owner, uint64_t ahead) {
  const uint64_t now = static_cast<uint64_t>(os::Call(SYS_brk, static_cast<long>(wanted)));
  __curbrk = reinterpret_cast<void*>(now);
  MappingEvent event;
  event.tag.slot = owner.task.slot;
  event.tag.library = owner.library;
  event.tag.keeps_owner = owner.is_allocator;
  event.tag.kind = MappingClass::kBreak;
  event.tag.protection = kMayRead | kMayWrite;
  event.tag.is_sparse = owner.is_sparse;
  event.tag.rule = event.tag.RuleWhenMapped();
  if (now > old) NoteSite(owner, now - old, &event.tag);
  event.kind = now >= old ? Kind::kMapped : Kind::kUnmapped;
  event.start = RoundUp(now >= old ? old : now);
  event.end = RoundUp(now >= old ? now : old);
  if (event.start < event.end) {
    NoteEvent(event, owner.task.slot, ahead);
  } else {
    CreditBack(owner, ahead);
  }
  return now;
}

// False: refused or failed, errno is ENOMEM.
bool SetBreakTo(uint64_t old, uint64_t wanted, const void* caller) {
  const MappingCall call;
  if (!call) {
    const uint64_t now = static_cast<uint64_t>(os::Call(SYS_brk, static_cast<long>(wanted)));
    __curbrk = reinterpret_cast<void*>(now);
    if (now >= wanted) return true;
    errno = ENOMEM;
    return false;
  }
  const uint64_t more = RoundUp(wanted) > RoundUp(old) ? RoundUp(wanted) - RoundUp(old) : 0;
  const MappingOwner owner = OwnerOfCall(caller, true, more);
  const uint64_t ahead = owner.is_sparse ? 0 : more;
  if (!ChargeAhead(owner, ahead, more)) return false;
  if (owner.is_sparse && more != 0 && !HasRoomForSparse(owner, more)) return false;
  if (MoveBreakNoted(old, wanted, owner, ahead) >= wanted) return true;
  errno = ENOMEM;
  return false;
}

uint64_t CurrentBreak() {
  if (__curbrk == nullptr) __curbrk = reinterpret_cast<void*>(os::Call(SYS_brk, 0));
  return reinterpret_cast<uint64_t>(__curbrk);
}

}  // namespace

int SetBreak(void* address, const void* caller) {
  return SetBreakTo(CurrentBreak(), reinterpret_cast<uint64_t>(address), caller) ? 0 : -1;
}

void* MoveBreak(intptr_t increment, const void* caller) {
  const uint64_t old = CurrentBreak();
  auto* const before = reinterpret_cast<void*>(old);
  if (increment == 0) return before;
  const uint64_t wanted = old + static_cast<uint64_t>(increment);
  if ((increment > 0) != (wanted > old)) {
    errno = ENOMEM;
    return reinterpret_cast<void*>(-1);
  }
  return SetBreakTo(old, wanted, caller) ? before : reinterpret_cast<void*>(-1);
}

}  // namespace taskmem
