#include "accounting/mappings/region_map.h"

#include <cstring>

namespace taskmem {

RegionMap::~RegionMap() {
  for (uint32_t i = 0; i < chunks_; ++i) source_.free(directory_[i].chunk, source_.context);
  while (spares_ != nullptr) {
    Chunk* const next = spares_->next_spare;
    source_.free(spares_, source_.context);
    spares_ = next;
  }
  if (directory_ != nullptr) source_.free(directory_, source_.context);
}

bool RegionMap::GrowDirectory() {
  const uint32_t capacity = capacity_ == 0 ? 256 : capacity_ * 2;
  auto* directory =
      static_cast<Entry*>(source_.allocate(size_t{capacity} * sizeof(Entry), source_.context));
  if (directory == nullptr) return false;
  if (directory_ != nullptr) {
    memcpy(directory, directory_, chunks_ * sizeof(Entry));
    source_.free(directory_, source_.context);
  }
  directory_ = directory;
  capacity_ = capacity;
  return true;
}

bool RegionMap::Prepare() {
  while (spare_count_ < kSparesNeeded) {
    auto* chunk = static_cast<Chunk*>(source_.allocate(sizeof(Chunk), source_.context));
    if (chunk == nullptr) return false;
    chunk->next_spare = spares_;
    spares_ = chunk;
    ++spare_count_;
  }
  return chunks_ + kSparesNeeded <= capacity_ || GrowDirectory();
}

void RegionMap::Describe(RegionMapLayout* layout) const {
  layout->map = reinterpret_cast<uint64_t>(this);
  layout->directory_at = offsetof(RegionMap, directory_);
  layout->chunk_count_at = offsetof(RegionMap, chunks_);
  layout->entry_bytes = sizeof(Entry);
  layout->entry_chunk_at = offsetof(Entry, chunk);
  layout->region_count_at = offsetof(Chunk, count);
  layout->regions_at = offsetof(Chunk, regions);
}

// The place of the first region that ends above `address`; beyond the last chunk where
// there is none.
RegionMap::Place RegionMap::FirstEndingAbove(uint64_t address) const {
  // How many entries begin at or below `address`. No branch depends on what is compared: half
  // of them would be mispredicted.
  const Entry* first = directory_;
  for (uint32_t count = chunks_; count > 0;) {
    const uint32_t half = (count + 1) / 2;
    first = first[half - 1].start <= address ? first + half : first;
    count -= half;
  }
  const auto after = static_cast<uint32_t>(first - directory_);
  // It may be the last of the chunk before.
  if (after != 0) {
    const Chunk& chunk = *first[-1].chunk;
    const Region* region = chunk.regions;
    for (uint32_t count = chunk.count; count > 0;) {
      const uint32_t half = (count + 1) / 2;
      region = region[half - 1].end <= address ? region + half : region;
      count -= half;
    }
    const auto index = static_cast<uint32_t>(region - chunk.regions);
    if (index != chunk.count) return {after - 1, index};
  }
  return {after, 0};
}

const Region* RegionMap::Next(Place* place) const {
  if (++place->region == directory_[place->chunk].chunk->count) *place = {place->chunk + 1, 0};
  return At(*place);
}

bool RegionMap::FindFrom(uint64_t address, Region* region) const {
  const Region* const found = At(FirstEndingAbove(address));
  if (found == nullptr) return false;
  *region = *found;
  return true;
}

void RegionMap::RemoveChunk(uint32_t index) {
  Chunk* const chunk = directory_[index].chunk;
  memmove(directory_ + index, directory_ + index + 1, (chunks_ - index - 1) * sizeof(Entry));
  --chunks_;
  if (spare_count_ >= 2 * kSparesNeeded) {
    source_.free(chunk, source_.context);
    return;
  }
  chunk->next_spare = spares_;
  spares_ = chunk;
  ++spare_count_;
}

void RegionMap::EraseAt(const Place& place, uint32_t count) {
  Chunk& chunk = *directory_[place.chunk].chunk;
  Region* const at = chunk.regions + place.region;
  memmove(at, at + count, (chunk.count - place.region - count) * sizeof(Region));
  chunk.count -= count;
  size_ -= count;
  if (chunk.count == 0) {
    RemoveChunk(place.chunk);
  } else {
    directory_[place.chunk].start = chunk.regions[0].start;
  }
}

// Its upper half becomes a chunk of its own.
void RegionMap::SplitChunk(uint32_t index) {
  Chunk& full = *directory_[index].chunk;
  Chunk* const upper = spares_;
  spares_ = upper->next_spare;
  --spare_count_;
  const uint32_t kept = full.count / 2;
  upper->count = full.count - kept;
  memcpy(upper->regions, full.regions + kept, upper->count * sizeof(Region));
  full.count = kept;
  memmove(directory_ + index + 2, directory_ + index + 1, (chunks_ - index - 1) * sizeof(Entry));
  directory_[index + 1] = {upper->regions[0].start, upper};
  ++chunks_;
}

// Before the region at `place`, which may be beyond the last chunk.
void RegionMap::InsertAt(Place place, const Region& region) {
  if (chunks_ == 0) {
    directory_[0].chunk = spares_;
    spares_ = spares_->next_spare;
    --spare_count_;
    directory_[0].chunk->count = 0;
    chunks_ = 1;
    place = {0, 0};
  } else if (place.region == 0 && place.chunk > 0) {
    // Rather at the end of the chunk before: addresses most often grow.
    --place.chunk;
    place.region = directory_[place.chunk].chunk->count;
  }
  if (directory_[place.chunk].chunk->count == kChunkRegions) {
    SplitChunk(place.chunk);
    const uint32_t kept = directory_[place.chunk].chunk->count;
    if (place.region > kept) place = {place.chunk + 1, place.region - kept};
  }
  Chunk& chunk = *directory_[place.chunk].chunk;
  Region* const at = chunk.regions + place.region;
  memmove(at + 1, at, (chunk.count - place.region) * sizeof(Region));
  *at = region;
  ++chunk.count;
  ++size_;
  directory_[place.chunk].start = chunk.regions[0].start;
}

RegionMap::Place RegionMap::Remove(Place place, uint64_t start, uint64_t end) {
  if (At(place) == nullptr) return place;
  Region* first = directory_[place.chunk].chunk->regions + place.region;
  if (first->start < start) {
    const Region cut = *first;
    first->end = start;
    if (cut.end > end) {
      Place after = place;
      Next(&after);
      InsertAt(after, {end, cut.end, cut.tag});
      return FirstEndingAbove(start);
    }
    Next(&place);
  }
  // Whole regions go a chunk at a time.
  while (At(place) != nullptr) {
    Chunk& chunk = *directory_[place.chunk].chunk;
    uint32_t until = place.region;
    while (until < chunk.count && chunk.regions[until].end <= end) ++until;
    const bool reaches_end = until == chunk.count;
    if (until > place.region) {
      const bool goes = until - place.region == chunk.count;
      EraseAt(place, until - place.region);
      if (reaches_end) place = {goes ? place.chunk : place.chunk + 1, 0};
    }
    if (!reaches_end) break;
  }
  if (At(place) == nullptr) return place;
  Chunk& chunk = *directory_[place.chunk].chunk;
  Region& last = chunk.regions[place.region];
  if (last.start < end) {
    last.start = end;
    directory_[place.chunk].start = chunk.regions[0].start;
  }
  return place;
}

uint32_t RegionMap::ClearFew(uint64_t start, uint64_t end, Region* parts, uint32_t most) {
  const Place place = FirstEndingAbove(start);
  uint32_t count = 0;
  const auto copy = [&](const Region& part) {
    if (count < most) parts[count] = part;
    ++count;
  };
  VisitFrom(place, start, end, copy);
  if (count != 0 && count <= most) Remove(place, start, end);
  return count;
}

// The region is free.
void RegionMap::Insert(const Place& place, const Region& region) {
  const Region* const next = At(place);
  const bool joins_next = next != nullptr && next->start == region.end && next->tag == region.tag;
  Region* previous = nullptr;
  if (place.region > 0) {
    previous = directory_[place.chunk].chunk->regions + place.region - 1;
  } else if (place.chunk > 0) {
    Chunk& before = *directory_[place.chunk - 1].chunk;
    previous = before.regions + before.count - 1;
  }
  const bool joins_previous =
      previous != nullptr && previous->end == region.start && previous->tag == region.tag;
  if (joins_previous) {
    previous->end = joins_next ? next->end : region.end;
    if (joins_next) EraseAt(place, 1);
  } else if (joins_next) {
    Chunk& chunk = *directory_[place.chunk].chunk;
    chunk.regions[place.region].start = region.start;
    directory_[place.chunk].start = chunk.regions[0].start;
  } else {
    InsertAt(place, region);
  }
}

}  // namespace taskmem
