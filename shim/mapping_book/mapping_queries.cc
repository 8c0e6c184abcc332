#include "shim/mapping_book/mapping_queries.h"

#include "shim/heap/upcalls.h"
#include "shim/mapping_book/callers.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/residency_charges.h"

namespace taskmem {

void FoldMappings(const SlotSet& from, uint32_t to) {
  LengthChanges changes(ApplyLength);
  {
    LockedBook book;
    book->Fold([&](uint32_t slot) { return from.Contains(slot); }, to, &changes);
    FoldResidency(from, to);
  }
  changes.ApplyAll();
}

void AddMappedBytes(uint64_t* bytes_by_slot) {
  LockedBook book;
  book->AddLengths(bytes_by_slot);
  AddResidencyBytes(bytes_by_slot);
}

bool OwnerOfMapping(const void* address, uint32_t* slot) {
  const auto at = reinterpret_cast<uint64_t>(address);
  // A handler may have interrupted this thread there, and asks.
  if (HoldsBook()) return false;
  LockedBook book;
  Region region;
  if (!book->FindFrom(at, &region) || region.start > at) return false;
  *slot = MappingTag::Unpack(region.tag).slot;
  return *slot != kStorageSlot;  // cached blocks: the library's own
}

uint32_t ReadMappings(uint64_t from, MappedRange* ranges, uint32_t most) {
  LockedBook book;
  uint32_t count = 0;
  Region region;
  while (count < most && book->FindFrom(from, &region)) {
    ranges[count++] = {region.start, region.end, MappingTag::Unpack(region.tag)};
    from = region.end;
  }
  return count;
}

uint64_t MappedBytes(ChargeRule rule) {
  if (rule == ChargeRule::kResidency) return BytesByResidency();
  LockedBook book;
  return book->bytes(rule);
}

uint64_t LostMappingEvents() { return LostNotes() + LockedBook()->lost_events(); }

bool IsInsideMappings() { return HoldsBook(); }

void DescribeMappings(AuditLayout* layout) {
  LockedBook book;
  book->Describe(&layout->mappings);
  DescribeLibraries(layout);
  DescribeResidency(layout);
}

}  // namespace taskmem
