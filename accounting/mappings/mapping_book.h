// The book of an address space: which task each mapped range is charged to, and by which
// rule. It is told what the kernel did, and says what that changes for whom.
//
// Only lengths are charged here. What is charged by residency is summed up when somebody
// looks (RangesByResidency); until then nothing changes.
#ifndef TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_BOOK_H_
#define TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_BOOK_H_

#include <cstdint>

#include "accounting/mappings/mapping_tag.h"
#include "accounting/mappings/region_map.h"

namespace taskmem {

// By how many bytes the charges of tasks change, net. Those of more tasks than fit are
// applied at once.
class LengthChanges {
 public:
  struct Change {
    uint32_t slot;
    int64_t bytes;
  };
  using Apply = void (*)(uint32_t slot, int64_t bytes);

  explicit LengthChanges(Apply apply) : apply_(apply) {}

  void Add(uint32_t slot, int64_t bytes);
  // Credits first, so that nothing is charged that another change makes room for.
  void ApplyAll();
  void Drop() { count_ = 0; }

  int count() const { return count_; }
  const Change& operator[](int i) const { return changes_[i]; }

 private:
  static constexpr int kMost = 16;

  const Apply apply_;
  int count_ = 0;
  Change changes_[kMost];
};

// Something the kernel has done to [start, end), both multiples of the page size.
struct MappingEvent {
  enum class Kind : uint8_t {
    kMapped,  // with `tag`, over whatever was there
    kUnmapped,
    kProtected,     // tag.protection; what becomes writable is charged to tag.slot
    kReturned,      // MADV_DONTNEED, MADV_FREE
    kMoved,         // to [to_start, to_end), growth charged to tag.slot (mremap)
    kLeavesAtFork,  // tag.leaves_at_fork
  };
  Kind kind = Kind::kMapped;
  bool keeps_source = false;  // kMoved: MREMAP_DONTUNMAP, or an old size of 0 (start == end)
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t to_start = 0;
  uint64_t to_end = 0;
  MappingTag tag = {};
};

// Not thread-safe.
class MappingBook {
 public:
  explicit MappingBook(const MemorySource& source) : map_(source) {}

  void Apply(const MappingEvent& event, LengthChanges* changes);

  // kUnmapped for [start, end), where that has at most `most` parts, which are copied, so that
  // they can be put back. Returns how many there were; where there are more, or there is no
  // memory (UINT32_MAX), nothing has changed.
  uint32_t TakeFew(uint64_t start, uint64_t end, Region* parts, uint32_t most,
                   LengthChanges* changes);
  void PutBack(const Region* parts, uint32_t count, LengthChanges* changes);

  // Of [start, end): what kLength charges to `slot` now.
  uint64_t ChargedLength(uint64_t start, uint64_t end, uint32_t slot) const;
  // What kLength would charge in addition if the range became writable.
  uint64_t LengthToBecomeWritable(uint64_t start, uint64_t end) const;
  // What kLength would charge in addition if the range, of one kind at its end, were
  // `more` bytes longer.
  uint64_t LengthToGrow(uint64_t end, uint64_t more) const;

  // The slots of `from` are reused: what they are charged for is the slot `to`'s.
  template <typename IsFrom>
  void Fold(IsFrom is_from, uint32_t to, LengthChanges* changes) {
    ChangeTags(0, UINT64_MAX, changes, [&](MappingTag tag) {
      if (is_from(tag.slot)) tag.slot = to;
      return tag;
    });
  }

  // In a forked child: what is not inherited is gone, and what is shared is the parent's.
  void AfterFork(LengthChanges* changes);

  // The children of a fork may not know what was going on: an empty book.
  void Forget();

  // Adds what kLength charges, by slot.
  void AddLengths(uint64_t* bytes_by_slot) const;

  // visit(start, end, MappingTag), in order, for each range, or part of one, in [start, end).
  template <typename Visit>
  void ForEachIn(uint64_t start, uint64_t end, Visit visit) const {
    map_.ForEachIn(start, end, [&](const Region& region) {
      visit(region.start, region.end, MappingTag::Unpack(region.tag));
    });
  }

  // The first range with a byte at or above `address`, as of RegionMap.
  bool FindFrom(uint64_t address, Region* region) const { return map_.FindFrom(address, region); }

  // For readers in other processes: the ranges, each with its packed MappingTag.
  void Describe(RegionMapLayout* layout) const { map_.Describe(layout); }

  uint64_t bytes(ChargeRule rule) const { return bytes_[static_cast<int>(rule)]; }
  uint64_t ranges() const { return map_.size(); }
  // Events that could not be noted because there was no memory for that.
  uint64_t lost_events() const { return lost_events_; }

 private:
  void Put(uint64_t start, uint64_t end, const MappingTag& tag, LengthChanges* changes);
  void Erase(uint64_t start, uint64_t end, LengthChanges* changes);
  void Move(const MappingEvent& event, LengthChanges* changes);
  void Count(const Region& region, int64_t sign, LengthChanges* changes);

  // Replaces the tag of every range in [start, end) by change(tag).
  template <typename Change>
  void ChangeTags(uint64_t start, uint64_t end, LengthChanges* changes, Change change) {
    Region region;
    for (uint64_t at = start; at < end && map_.FindFrom(at, &region) && region.start < end;) {
      const uint64_t from = region.start < at ? at : region.start;
      at = region.end < end ? region.end : end;
      const uint64_t tag = change(MappingTag::Unpack(region.tag)).Pack();
      if (tag != region.tag) Put(from, at, MappingTag::Unpack(tag), changes);
    }
  }

  RegionMap map_;
  uint64_t bytes_[kChargeRules] = {};
  uint64_t lost_events_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_BOOK_H_
