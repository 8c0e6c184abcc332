#include "shim/mappings/mappings.h"

#include <sys/mman.h>

#include <optional>

#include "shim/base/os.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/leaving_memory.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mapping_book/residency_timer.h"
#include "shim/mapping_book/unmapping.h"
#include "shim/mappings/mapping_charge.h"
#include "shim/mappings/mapping_class.h"
#include "shim/mappings/mapping_ranges.h"
#include "shim/sites/frame_rules.h"

namespace taskmem {
namespace {

using Kind = MappingEvent::Kind;

// Newer than the C library's header.
constexpr int kDontNeedLocked = 24;
constexpr int kCollapse = 25;

bool ReplacesOthers(int flags) {
  return (flags & MAP_FIXED) != 0 && (flags & MAP_FIXED_NOREPLACE) == 0;
}

// Whether the next who gets the memory would notice: but for how it is read ahead, put into pages
// and taken out of memory.
bool ChangesMemory(int advice) {
  switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case kDontNeedLocked:
    case kCollapse: return false;
    default: return true;
  }
}

}  // namespace

void* MapMemory(void* address, size_t length, int protection, int flags, int fd, off_t offset,
                const void* caller) {
  const auto map = [&] {
    return os::Call(SYS_mmap, reinterpret_cast<long>(address), static_cast<long>(length),
                    protection, flags, fd, offset);
  };
  const uint64_t bytes = MappedLength(length, flags);
  const bool replaces = ReplacesOthers(flags);
  const auto wanted = reinterpret_cast<uint64_t>(address);
  if (bytes == 0 || bytes < length || (replaces && !IsRange(wanted, bytes))) {
    return AnswerAddress(map());
  }
  const MappingCall call;
  if (!call) return AnswerAddress(map());
  if (replaces) NoteChangedByProgram(address);
  MappingTag tag;
  tag.kind = ClassOfMapping(flags, fd);
  const bool is_anonymous =
      tag.kind == MappingClass::kAnonymous || tag.kind == MappingClass::kSharedAnonymous;
  const MappingOwner owner = OwnerOfCall(caller, is_anonymous, bytes);
  tag.slot = owner.task.slot;
  tag.library = owner.library;
  tag.protection = static_cast<uint8_t>(protection & 7);
  tag.is_sparse = owner.is_sparse || (flags & (MAP_NORESERVE | MAP_GROWSDOWN)) != 0;
  tag.keeps_owner = owner.is_allocator;
  tag.grows_down = (flags & MAP_GROWSDOWN) != 0;
  tag.rule = tag.RuleWhenMapped();
  uint64_t ahead = tag.rule == ChargeRule::kLength ? bytes : 0;
  if (ahead != 0 && replaces && !HoldsBook()) {
    LockedBook book;
    ahead -= book->ChargedLength(wanted, wanted + bytes, tag.slot);
  }
  if (!ChargeAhead(owner, ahead, bytes)) return MAP_FAILED;
  if (tag.rule == ChargeRule::kResidency && !HasRoomForSparse(owner, bytes)) return MAP_FAILED;
  if (tag.rule != ChargeRule::kShown) NoteSite(owner, bytes, &tag);
  MappingEvent event = {.kind = Kind::kMapped, .tag = tag};
  long result;
  if (replaces && !HoldsBook()) {
    LengthChanges changes(ApplyLength);
    LeavingMemory leaving({wanted, wanted + bytes});
    {
      LockedBook book;
      result = map();
      if (!os::Failed(result)) {
        event.start = static_cast<uint64_t>(result);
        event.end = event.start + bytes;
        book->Apply(event, &changes);
      }
    }
    if (ahead != 0) changes.Add(tag.slot, -static_cast<int64_t>(ahead));
    changes.ApplyAll();
    CatchUpWithNotes();
    if (os::Failed(result)) {
      Resynchronise(wanted, wanted + bytes);
    } else {
      leaving.ItIsGone();
    }
    NoteResidencyRanges();
    return AnswerAddress(result);
  }
  result = map();
  if (result == -ENOMEM && HasKeptMemory()) {
    LetKeptMemoryGo(/*all=*/true);
    result = map();
  }
  if (os::Failed(result)) {
    CreditBack(owner, ahead);
    return AnswerAddress(result);
  }
  event.start = static_cast<uint64_t>(result);
  event.end = event.start + bytes;
  NoteEvent(event, tag.slot, ahead);
  if (tag.rule == ChargeRule::kResidency) NoteResidencyRanges();
  return AnswerAddress(result);
}

int UnmapMemory(void* address, size_t length) {
  const auto start = reinterpret_cast<uint64_t>(address);
  const uint64_t bytes = RoundUp(length);
  const auto unmap = [&] {
    return os::Call(SYS_munmap, static_cast<long>(start), static_cast<long>(length));
  };
  if (!IsRange(start, bytes)) return Answer(unmap());
  const MappingCall call;
  if (!call) return Answer(unmap());
  NoteChangedByProgram(address);
  LeavingMemory leaving({start, start + bytes});
  const long result = UnmapNoted(start, start + bytes, SYS_munmap, static_cast<long>(start),
                                 static_cast<long>(length));
  if (!os::Failed(result)) leaving.ItIsGone();
  return Answer(result);
}

int ProtectMemory(void* address, size_t length, int protection, int key) {
  const auto protect = [&] {
    return os::Call(key == kNoProtectionKey ? SYS_mprotect : SYS_pkey_mprotect,
                    reinterpret_cast<long>(address), static_cast<long>(length), protection, key);
  };
  const auto start = reinterpret_cast<uint64_t>(address);
  const uint64_t bytes = RoundUp(length);
  if (!IsRange(start, bytes)) return Answer(protect());
  if ((protection & PROT_READ) == 0 || key != kNoProtectionKey) {
    NoteUnreadable(start, start + bytes);
  }
  const MappingCall call;
  if (!call) return Answer(protect());
  NoteChangedByProgram(address);
  const MappingOwner owner = OwnerOfCall(nullptr, false, bytes);
  uint64_t ahead = 0;
  if ((protection & PROT_WRITE) != 0 && !HoldsBook()) {
    LockedBook book;
    ahead = book->LengthToBecomeWritable(start, start + bytes);
  }
  if (!ChargeAhead(owner, ahead, bytes)) return -1;
  const long result = protect();
  if (os::Failed(result)) {
    CreditBack(owner, ahead);
    // Parts may have been changed before the one that could not be.
    if (result == -ENOMEM || result == -EACCES) Resynchronise(start, start + bytes);
    return Answer(result);
  }
  MappingTag tag;
  tag.slot = owner.task.slot;
  tag.protection = static_cast<uint8_t>(protection & 7);
  const uint64_t before = MappedBytes(ChargeRule::kResidency);
  NoteEvent({.kind = Kind::kProtected, .start = start, .end = start + bytes, .tag = tag}, tag.slot,
            ahead);
  const uint64_t after = MappedBytes(ChargeRule::kResidency);
  if (after > before) NoteSparse(tag.slot, after - before);
  NoteResidencyRanges();
  return 0;
}

int AdviseMemory(void* address, size_t length, int advice) {
  const auto advise = [&] {
    return os::Call(SYS_madvise, reinterpret_cast<long>(address), static_cast<long>(length),
                    advice);
  };
  const bool returns = advice == MADV_DONTNEED || advice == MADV_FREE || advice == kDontNeedLocked;
  const bool inherits = advice == MADV_DONTFORK || advice == MADV_DOFORK;
  const auto start = reinterpret_cast<uint64_t>(address);
  const uint64_t bytes = RoundUp(length);
  if (ChangesMemory(advice)) NoteChangedByProgram(address);
  if ((!returns && !inherits) || !IsRange(start, bytes)) return Answer(advise());
  const MappingCall call;
  if (!call) return Answer(advise());
  // What is only marked is in memory still.
  std::optional<LeavingMemory> leaving;
  if (returns && advice != MADV_FREE) leaving.emplace(LeavingMemory::Range{start, start + bytes});
  // Where some of it could not be done it may have been done to the rest.
  const long result = advise();
  if (leaving && !os::Failed(result)) leaving->ItIsGone();
  MappingEvent event = {.kind = returns ? Kind::kReturned : Kind::kLeavesAtFork,
                        .start = start,
                        .end = start + bytes};
  event.tag.leaves_at_fork = advice == MADV_DONTFORK;
  if (inherits || HoldsBook()) {
    NoteEvent(event, 0, 0);
    return Answer(result);
  }
  LengthChanges changes(ApplyLength);
  {
    LockedBook book;
    book->Apply(event, &changes);
    // What is only marked is in memory still.
    if (advice == MADV_FREE && changes.count() != 0) {
      AddResidency(changes[0].slot, ResidentBytes(start, start + bytes));
    }
  }
  changes.ApplyAll();
  CatchUpWithNotes();
  NoteResidencyRanges();
  return Answer(result);
}

}  // namespace taskmem
