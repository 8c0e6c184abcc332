// Which parts of an address space are what: half-open ranges, each with a tag, that do not
// overlap. A range that is set anew replaces what it covers, whole or in part.
//
//   directory   (first address, chunk) ...     sorted
//   chunk       (start, end, tag) ...          sorted, up to kChunkRegions
//
// Neighbours with the same tag are one region. A search is two binary searches; an insertion
// moves part of a chunk. With a million regions the directory has some ten thousand entries,
// and changes once in a hundred insertions.
#ifndef TASKMEM_ACCOUNTING_MAPPINGS_REGION_MAP_H_
#define TASKMEM_ACCOUNTING_MAPPINGS_REGION_MAP_H_

#include <cstddef>
#include <cstdint>

#include "accounting/audit/audit_layout.h"
#include "accounting/memory/memory_allocator.h"

namespace taskmem {

struct Region {
  uint64_t start;
  uint64_t end;  // beyond the last byte
  uint64_t tag;

  uint64_t bytes() const { return end - start; }
};

// Not thread-safe.
class RegionMap {
 public:
  static constexpr uint32_t kChunkRegions = 170;  // 4 KiB with its header

  // Memory in pieces of 4 KiB, and one piece of up to 16 bytes for each of those.
  explicit RegionMap(const MemorySource& source) : source_(source) {}
  ~RegionMap();
  RegionMap(const RegionMap&) = delete;
  RegionMap& operator=(const RegionMap&) = delete;

  // Makes sure that the next Set or Clear cannot fail. False: no memory.
  bool Prepare();

  // Both need start < end, and Prepare before. replaced(const Region&) is called, in order,
  // for each part of a region that [start, end) covers, before anything changes; it must
  // not call back.
  template <typename Replaced>
  void Set(uint64_t start, uint64_t end, uint64_t tag, Replaced replaced) {
    Place place = FirstEndingAbove(start);
    if (BeginsBefore(place, end)) {
      VisitFrom(place, start, end, replaced);
      place = Remove(place, start, end);
    }
    Insert(place, {start, end, tag});
  }
  template <typename Replaced>
  void Clear(uint64_t start, uint64_t end, Replaced replaced) {
    const Place place = FirstEndingAbove(start);
    if (!BeginsBefore(place, end)) return;
    VisitFrom(place, start, end, replaced);
    Remove(place, start, end);
  }

  // Clears [start, end) where it has at most `most` parts, and copies those. Returns how many
  // there were; where there are more than `most`, nothing has changed.
  uint32_t ClearFew(uint64_t start, uint64_t end, Region* parts, uint32_t most);

  // The region that contains `address`, or else the next above it. False: there is none.
  bool FindFrom(uint64_t address, Region* region) const;

  // visit(const Region&) for each region, or part of one, in [start, end), in order.
  template <typename Visit>
  void ForEachIn(uint64_t start, uint64_t end, Visit visit) const {
    VisitFrom(FirstEndingAbove(start), start, end, visit);
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    ForEachIn(0, UINT64_MAX, visit);
  }

  uint64_t size() const { return size_; }  // regions

  // For readers in other processes.
  void Describe(RegionMapLayout* layout) const;

 private:
  struct Chunk {
    uint32_t count;
    Chunk* next_spare;
    Region regions[kChunkRegions];
  };
  struct Entry {
    uint64_t start;  // of the chunk's first region
    Chunk* chunk;
  };
  struct Place {
    uint32_t chunk;
    uint32_t region;
  };

  // A Set may split one region in two and add one: at most one chunk splits for each.
  static constexpr uint32_t kSparesNeeded = 2;

  Place FirstEndingAbove(uint64_t address) const;
  bool BeginsBefore(const Place& place, uint64_t end) const {
    const Region* const region = At(place);
    return region != nullptr && region->start < end;
  }
  // `place` is FirstEndingAbove(start).
  template <typename Visit>
  void VisitFrom(Place place, uint64_t start, uint64_t end, Visit& visit) const {
    for (const Region* region = At(place); region != nullptr && region->start < end;
         region = Next(&place)) {
      visit(Region{region->start < start ? start : region->start,
                   region->end > end ? end : region->end, region->tag});
    }
  }
  const Region* At(const Place& place) const {
    return place.chunk < chunks_ ? &directory_[place.chunk].chunk->regions[place.region] : nullptr;
  }
  const Region* Next(Place* place) const;
  // `place` is FirstEndingAbove(start), and so is what they return, or where Insert begins.
  Place Remove(Place place, uint64_t start, uint64_t end);
  void Insert(const Place& place, const Region& region);
  void InsertAt(Place place, const Region& region);
  void EraseAt(const Place& place, uint32_t count);
  void SplitChunk(uint32_t index);
  void RemoveChunk(uint32_t index);
  bool GrowDirectory();

  const MemorySource source_;
  Entry* directory_ = nullptr;
  uint32_t chunks_ = 0;
  uint32_t capacity_ = 0;  // of the directory
  Chunk* spares_ = nullptr;
  uint32_t spare_count_ = 0;
  uint64_t size_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MAPPINGS_REGION_MAP_H_
