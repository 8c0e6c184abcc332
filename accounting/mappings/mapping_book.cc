#include "accounting/mappings/mapping_book.h"

namespace taskmem {

void LengthChanges::Add(uint32_t slot, int64_t bytes) {
  for (int i = 0; i < count_; ++i) {
    if (changes_[i].slot == slot) {
      changes_[i].bytes += bytes;
      return;
    }
  }
  if (count_ == kMost) {
    apply_(slot, bytes);
  } else {
    changes_[count_++] = {slot, bytes};
  }
}

void LengthChanges::ApplyAll() {
  for (int i = 0; i < count_; ++i) {
    if (changes_[i].bytes < 0) apply_(changes_[i].slot, changes_[i].bytes);
  }
  for (int i = 0; i < count_; ++i) {
    if (changes_[i].bytes > 0) apply_(changes_[i].slot, changes_[i].bytes);
  }
  count_ = 0;
}

void MappingBook::Count(const Region& region, int64_t sign, LengthChanges* changes) {
  const MappingTag tag = MappingTag::Unpack(region.tag);
  const int64_t bytes = sign * static_cast<int64_t>(region.bytes());
  bytes_[static_cast<int>(tag.rule)] += static_cast<uint64_t>(bytes);
  if (tag.rule == ChargeRule::kLength) changes->Add(tag.slot, bytes);
}

void MappingBook::Put(uint64_t start, uint64_t end, const MappingTag& tag, LengthChanges* changes) {
  if (start >= end) return;
  if (!map_.Prepare()) {
    ++lost_events_;
    return;
  }
  map_.Set(start, end, tag.Pack(), [&](const Region& region) { Count(region, -1, changes); });
  Count({start, end, tag.Pack()}, 1, changes);
}

void MappingBook::Erase(uint64_t start, uint64_t end, LengthChanges* changes) {
  if (start >= end) return;
  if (!map_.Prepare()) {
    ++lost_events_;
    return;
  }
  map_.Clear(start, end, [&](const Region& region) { Count(region, -1, changes); });
}

uint32_t MappingBook::TakeFew(uint64_t start, uint64_t end, Region* parts, uint32_t most,
                              LengthChanges* changes) {
  if (!map_.Prepare()) return UINT32_MAX;
  const uint32_t count = map_.ClearFew(start, end, parts, most);
  for (uint32_t i = 0; i < count && count <= most; ++i) Count(parts[i], -1, changes);
  return count;
}

void MappingBook::PutBack(const Region* parts, uint32_t count, LengthChanges* changes) {
  for (uint32_t i = 0; i < count; ++i) {
    Put(parts[i].start, parts[i].end, MappingTag::Unpack(parts[i].tag), changes);
  }
}

void MappingBook::Move(const MappingEvent& event, LengthChanges* changes) {
  const auto& [kind, keeps_source, start, end, to_start, to_end, by] = event;
  Region last;
  const bool is_duplicate = start == end;
  const uint64_t last_byte = is_duplicate ? start : end - 1;
  const bool is_known = map_.FindFrom(last_byte, &last) && last.start <= last_byte;
  MappingTag growth = MappingTag::Unpack(is_known ? last.tag : 0);
  growth.slot = by.slot;
  if (is_duplicate) {
    // The same pages at a second place are held once.
    if (growth.rule == ChargeRule::kResidency) growth.rule = ChargeRule::kShown;
    Erase(to_start, to_end, changes);
    if (is_known) Put(to_start, to_end, growth, changes);
    return;
  }
  const uint64_t grown_from = to_start + (end - start);
  if (to_start == start) {
    Erase(to_end, end, changes);
  } else {
    // A move of several mappings (Linux 6.17) leaves the target alone where the source has
    // holes. Of one that is not known, only the target is.
    Region region;
    const bool knows_some = map_.FindFrom(start, &region) && region.start < end;
    if (end - start != to_end - to_start || !knows_some) Erase(to_start, to_end, changes);
    for (uint64_t at = start; at < end && map_.FindFrom(at, &region) && region.start < end;) {
      // What was just changed may have joined it.
      const uint64_t from = region.start < at ? at : region.start;
      at = region.end < end ? region.end : end;
      const MappingTag tag = MappingTag::Unpack(region.tag);
      if (keeps_source) {
        // Its pages have moved; what comes there from now on counts as it comes.
        MappingTag emptied = tag;
        if (tag.rule == ChargeRule::kLength) emptied.rule = ChargeRule::kResidency;
        Put(from, at, emptied, changes);
      } else {
        Erase(from, at, changes);
      }
      const uint64_t new_end = to_start + (at - start);
      Put(to_start + (from - start), new_end < to_end ? new_end : to_end, tag, changes);
    }
  }
  if (is_known && to_end > grown_from) Put(grown_from, to_end, growth, changes);
}

void MappingBook::Apply(const MappingEvent& event, LengthChanges* changes) {
  switch (event.kind) {
    case MappingEvent::Kind::kMapped: Put(event.start, event.end, event.tag, changes); break;
    case MappingEvent::Kind::kUnmapped: Erase(event.start, event.end, changes); break;
    case MappingEvent::Kind::kProtected:
      ChangeTags(event.start, event.end, changes, [&](const MappingTag& tag) {
        return tag.WithProtection(event.tag.protection, event.tag.slot);
      });
      break;
    case MappingEvent::Kind::kReturned:
      ChangeTags(event.start, event.end, changes, [](MappingTag tag) {
        const bool is_anonymous =
            tag.kind == MappingClass::kAnonymous || tag.kind == MappingClass::kBreak;
        if (is_anonymous && tag.rule == ChargeRule::kLength) tag.rule = ChargeRule::kResidency;
        return tag;
      });
      break;
    case MappingEvent::Kind::kMoved: Move(event, changes); break;
    case MappingEvent::Kind::kLeavesAtFork:
      ChangeTags(event.start, event.end, changes, [&](MappingTag tag) {
        tag.leaves_at_fork = event.tag.leaves_at_fork;
        return tag;
      });
      break;
  }
}

uint64_t MappingBook::ChargedLength(uint64_t start, uint64_t end, uint32_t slot) const {
  uint64_t bytes = 0;
  ForEachIn(start, end, [&](uint64_t from, uint64_t to, const MappingTag& tag) {
    if (tag.rule == ChargeRule::kLength && tag.slot == slot) bytes += to - from;
  });
  return bytes;
}

uint64_t MappingBook::LengthToBecomeWritable(uint64_t start, uint64_t end) const {
  uint64_t bytes = 0;
  ForEachIn(start, end, [&](uint64_t from, uint64_t to, const MappingTag& tag) {
    if (tag.rule == ChargeRule::kLength) return;
    if (tag.WithProtection(kMayWrite, 0).rule == ChargeRule::kLength) bytes += to - from;
  });
  return bytes;
}

uint64_t MappingBook::LengthToGrow(uint64_t end, uint64_t more) const {
  Region last;
  if (end == 0 || !map_.FindFrom(end - 1, &last) || last.start > end - 1) return 0;
  return MappingTag::Unpack(last.tag).rule == ChargeRule::kLength ? more : 0;
}

void MappingBook::AfterFork(LengthChanges* changes) {
  ChangeTags(0, UINT64_MAX, changes, [](MappingTag tag) {
    if (tag.kind == MappingClass::kSharedAnonymous || tag.kind == MappingClass::kSystemV) {
      tag.rule = ChargeRule::kShown;
    }
    return tag;
  });
  Region region;
  for (uint64_t at = 0; map_.FindFrom(at, &region); at = region.end) {
    if (MappingTag::Unpack(region.tag).leaves_at_fork) Erase(region.start, region.end, changes);
  }
}

void MappingBook::Forget() {
  LengthChanges ignored([](uint32_t, int64_t) {});
  Erase(0, UINT64_MAX, &ignored);
}

void MappingBook::AddLengths(uint64_t* bytes_by_slot) const {
  ForEachIn(0, UINT64_MAX, [&](uint64_t start, uint64_t end, const MappingTag& tag) {
    if (tag.rule == ChargeRule::kLength) bytes_by_slot[tag.slot] += end - start;
  });
}

}  // namespace taskmem
