#include "shim/mapping_book/locked_book.h"

#include <new>

#include "shim/base/maps_file.h"
#include "shim/base/os.h"
#include "shim/books/book_pieces.h"
#include "shim/heap/heap.h"
#include "shim/limit/mapping_limit.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

constinit BookPlace g_book_place = {};
constinit MappingNotes g_notes;

namespace {

using Kind = MappingEvent::Kind;

constinit BookPieces g_pieces;
std::atomic<uint64_t> g_lost_notes{0};

void* MapNotes(size_t bytes) {
  void* const notes = os::MapApart(bytes, MAP_NORESERVE);
  if (notes != nullptr) NoteOwnBytes(notes, bytes);
  return notes;
}

}  // namespace

void LockedBook::SpinThenLock() {
  constexpr int kSpins = 200;
  for (int i = 0; i < kSpins; ++i) {
    __builtin_ia32_pause();
    if (g_book_place.mutex.TryLock()) return;
  }
  g_book_place.mutex.Lock();
}

void LockedBook::Make() {
  new (g_book_place.book) MappingBook(g_pieces.Source());
  g_book_place.is_made = true;
}

void LockedBook::ApplyNotes() {
  TASKMEM_DCHECK(HoldsBook());
  auto* const book = reinterpret_cast<MappingBook*>(g_book_place.book);
  while (!g_notes.IsEmpty()) {
    g_notes.TakeAll([book](const MappingEvent& event) {
      LengthChanges changes(ApplyLength);
      book->Apply(event, &changes);
      changes.ApplyAll();
    });
  }
}

void ApplyLength(uint32_t slot, int64_t bytes) {
  if (bytes > 0) ChargeMappedOverQuota(slot, static_cast<uint64_t>(bytes));
  if (bytes < 0) CreditMapped(slot, static_cast<uint64_t>(-bytes));
}

void LeaveNote(const MappingEvent& event) {
  TASKMEM_DCHECK(HoldsBook());
  if (!g_notes.Add(event, MapNotes)) g_lost_notes.fetch_add(1, std::memory_order_relaxed);
}

uint64_t LostNotes() { return g_lost_notes.load(std::memory_order_relaxed); }

void NoteEvent(const MappingEvent& event, uint32_t slot, uint64_t ahead) {
  if (__builtin_expect(HoldsBook(), 0)) {
    if (ahead != 0) CreditMapped(slot, ahead);
    LeaveNote(event);
    return;
  }
  LengthChanges changes(ApplyLength);
  LockedBook()->Apply(event, &changes);
  if (ahead != 0) changes.Add(slot, -static_cast<int64_t>(ahead));
  changes.ApplyAll();
  CatchUpWithNotes();
}

void Resynchronise(uint64_t start, uint64_t end) {
  if (HoldsBook()) return;
  const uint32_t slot = GetCurrentTask().slot;
  uint64_t at = start;
  ForEachMapsLine([&](const MapsLine& line) {
    if (line.end <= start) return true;
    if (line.start >= end) return false;
    if (line.start > at) {
      NoteEvent({.kind = Kind::kUnmapped, .start = at, .end = line.start}, slot, 0);
    }
    const uint64_t from = line.start > start ? line.start : start;
    const uint64_t to = line.end < end ? line.end : end;
    MappingTag tag;
    tag.slot = slot;
    tag.protection = line.protection;
    NoteEvent({.kind = Kind::kProtected, .start = from, .end = to, .tag = tag}, slot, 0);
    at = to;
    return true;
  });
  if (at < end) NoteEvent({.kind = Kind::kUnmapped, .start = at, .end = end}, slot, 0);
}

}  // namespace taskmem
