// mremap.
#include <sys/mman.h>

#include "shim/base/maps_file.h"
#include "shim/base/os.h"
#include "shim/heap/heap.h"
#include "shim/mapping_book/leaving_memory.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/mappings/mapping_charge.h"
#include "shim/mappings/mapping_ranges.h"
#include "shim/mappings/mappings.h"

namespace taskmem {
namespace {

using Kind = MappingEvent::Kind;

// What of [start, end), which is not there any more, is at `target` now.
void NoteMovedHole(uint64_t start, uint64_t end, uint64_t target, uint32_t slot) {
  MappedRange range;
  for (uint64_t at = start; at < end && ReadMappings(at, &range, 1) != 0 && range.start < end;) {
    MappingEvent event = {.kind = Kind::kMoved, .tag = {.slot = slot}};
    event.start = range.start < at ? at : range.start;
    event.end = at = range.end < end ? range.end : end;
    event.to_start = target + (event.start - start);
    event.to_end = event.to_start + (event.end - event.start);
    unsigned char in_memory;
    const long is_mapped = os::Call(SYS_mincore, static_cast<long>(event.to_start), kMappingPage,
                                    reinterpret_cast<long>(&in_memory));
    if (!os::Failed(is_mapped)) NoteEvent(event, slot, 0);
  }
}

// A move of several mappings (Linux 6.17) that failed at one of them: those before have moved.
void NotePartialMove(uint64_t start, uint64_t end, uint64_t target, uint32_t slot) {
  uint64_t at = start;
  ForEachMapsLine([&](const MapsLine& line) {
    if (line.end <= at) return true;
    if (line.start >= end) return false;
    if (line.start > at) NoteMovedHole(at, line.start, target + (at - start), slot);
    at = line.end;
    return true;
  });
  if (at < end) NoteMovedHole(at, end, target + (at - start), slot);
}

// To a fixed target: that is cleared first, and a source that shrinks is cut.
void NoteFailedMove(uint64_t start, uint64_t old_bytes, uint64_t target, uint64_t new_bytes,
                    uint32_t slot) {
  if (old_bytes == new_bytes) NotePartialMove(start, start + old_bytes, target, slot);
  Resynchronise(target, target + new_bytes);
  if (old_bytes != 0) Resynchronise(start, start + old_bytes);
}

// What the range that ends at `end` is charged by its length when it grows by `more`. 0 in a
// handler that interrupted whoever has the book.
uint64_t LengthOfGrowth(uint64_t end, uint64_t more) {
  if (more == 0 || HoldsBook()) return 0;
  return LockedBook()->LengthToGrow(end, more);
}

}  // namespace

void* RemapMemory(void* address, size_t old_length, size_t new_length, int flags, void* to) {
  const auto remap = [&] {
    return os::Call(SYS_mremap, reinterpret_cast<long>(address), static_cast<long>(old_length),
                    static_cast<long>(new_length), flags, reinterpret_cast<long>(to));
  };
  const auto start = reinterpret_cast<uint64_t>(address);
  const auto target = reinterpret_cast<uint64_t>(to);
  const uint64_t old_bytes = RoundUp(old_length);
  const uint64_t new_bytes = RoundUp(new_length);
  const bool is_fixed = (flags & MREMAP_FIXED) != 0;
  if (start % kMappingPage != 0 || start + old_bytes < start || old_bytes < old_length ||
      new_bytes == 0 || (is_fixed && !IsRange(target, new_bytes))) {
    return AnswerAddress(remap());
  }
  const MappingCall call;
  if (!call) return AnswerAddress(remap());
  NoteChangedByProgram(address);
  if (is_fixed) NoteChangedByProgram(to);
  const uint64_t more = new_bytes > old_bytes ? new_bytes - old_bytes : 0;
  const MappingOwner owner = OwnerOfCall(nullptr, false, more);
  const uint64_t ahead = old_bytes != 0 ? LengthOfGrowth(start + old_bytes, more) : 0;
  if (!ChargeAhead(owner, ahead, more)) return MAP_FAILED;
  MappingEvent event = {.kind = Kind::kMoved, .start = start, .end = start + old_bytes};
  event.keeps_source = old_bytes == 0 || (flags & MREMAP_DONTUNMAP) != 0;
  event.tag.slot = owner.task.slot;
  const auto set_target = [&](long result) {
    event.to_start = static_cast<uint64_t>(result);
    event.to_end = event.to_start + new_bytes;
  };
  if (HoldsBook()) {
    const long result = remap();
    CreditBack(owner, ahead);
    if (!os::Failed(result)) {
      set_target(result);
      LeaveNote(event);
    }
    return AnswerAddress(result);
  }
  LengthChanges changes(ApplyLength);
  const bool shrinks = new_bytes < old_bytes;
  using Range = LeavingMemory::Range;
  LeavingMemory leaving(shrinks ? Range{start + new_bytes, start + old_bytes} : Range{0, 0},
                        is_fixed ? Range{target, target + new_bytes} : Range{0, 0});
  long result;
  {
    LockedBook book;
    result = remap();
    if (!os::Failed(result)) {
      set_target(result);
      book->Apply(event, &changes);
    }
  }
  if (ahead != 0) changes.Add(owner.task.slot, -static_cast<int64_t>(ahead));
  changes.ApplyAll();
  CatchUpWithNotes();
  if (!os::Failed(result)) leaving.ItIsGone();
  if (os::Failed(result) && is_fixed) {
    NoteFailedMove(start, old_bytes, target, new_bytes, owner.task.slot);
  }
  return AnswerAddress(result);
}

}  // namespace taskmem
