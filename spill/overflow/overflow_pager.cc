#include "spill/overflow/overflow_pager.h"

#include "accounting/base/kernel_memory.h"

namespace taskmem {
namespace {

// A run that is unmapped, or written, at once: no longer than a disk is busy for some
// milliseconds, long enough to be written as one. Runs do not cross multiples of it.
constexpr uint64_t kRunChunks = (uint64_t{4} << 20) / OverflowPager::kChunkBytes;

}  // namespace

bool OverflowPager::Open(Host& host, uint64_t chunks) {
  host_ = &host;
  chunk_count_ = chunks;
  chunks_ = static_cast<std::atomic<uint32_t>*>(MapZeroed(chunks * sizeof(chunks_[0])));
  resident_ = static_cast<std::atomic<uint64_t>*>(MapZeroed(kMaxTaskSlots * sizeof(resident_[0])));
  needs_ = static_cast<int64_t*>(MapZeroed(kMaxTaskSlots * sizeof(needs_[0])));
  seen_ = static_cast<uint16_t*>(MapZeroed(kMaxTaskSlots * sizeof(seen_[0])));
  is_seen_ = static_cast<uint8_t*>(MapZeroed(kMaxTaskSlots));
  return chunks_ != nullptr && resident_ != nullptr && needs_ != nullptr && seen_ != nullptr &&
         is_seen_ != nullptr;
}

void OverflowPager::Forget(uint64_t first, uint64_t count) {
  const uint64_t end = first + count < chunk_count_ ? first + count : chunk_count_;
  for (uint64_t i = first; i < end; ++i) {
    if (chunks_[i].load(std::memory_order_relaxed) == 0) continue;
    const uint32_t word = chunks_[i].exchange(0);
    const auto bytes = static_cast<int64_t>(PagesOf(word) * kPageBytes);
    switch (StateOf(word)) {
      case kUnmapped:
      case kWriting: cached_bytes_.fetch_sub(bytes); break;
      case kResident:
      case kHot: AddResident(SlotOf(word), -bytes); break;
      default: break;
    }
  }
}

void OverflowPager::ForgetAll() {
  Forget(0, chunk_count_);
  for (uint32_t i = 0; i < seen_count_; ++i) {
    resident_[seen_[i]].store(0);
    is_seen_[seen_[i]] = 0;
  }
  seen_count_ = 0;
  other_file_bytes_ = 0;
  resident_bytes_.store(0);
  cached_bytes_.store(0);
}

void OverflowPager::AddResident(uint32_t slot, int64_t bytes) {
  resident_[slot].fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
  resident_bytes_.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed);
}

uint64_t OverflowPager::Unseen(uint64_t file_bytes) const {
  const uint64_t known = resident_bytes() + other_file_bytes_;
  return file_bytes > known ? file_bytes - known : 0;
}

uint64_t OverflowPager::Headroom(uint64_t file_bytes) {
  const uint64_t unseen = Unseen(file_bytes);
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < seen_count_; ++i) {
    const uint64_t high = host_->ShareOf(seen_[i]).high;
    if (seen_[i] < kFirstTaskSlot) {
      if (ResidentOf(seen_[i]) > high) return 0;
      continue;
    }
    const uint64_t resident = ResidentOf(seen_[i]) + unseen;
    const uint64_t room = high > resident ? high - resident : 0;
    if (room < least) least = room;
  }
  return least != UINT64_MAX ? least : 0;
}

uint64_t OverflowPager::Excess(uint64_t file_bytes) {
  const uint64_t unseen = Unseen(file_bytes);
  uint64_t most = 0;
  for (uint32_t i = 0; i < seen_count_; ++i) {
    if (seen_[i] < kFirstTaskSlot) continue;
    const uint64_t resident = ResidentOf(seen_[i]) + unseen;
    const uint64_t high = host_->ShareOf(seen_[i]).high;
    if (resident > high && resident - high > most) most = resident - high;
  }
  return most;
}

uint64_t OverflowPager::ResidentOf(uint32_t slot) const {
  return resident_ != nullptr ? resident_[slot].load(std::memory_order_relaxed) : 0;
}

uint64_t OverflowPager::End() {
  const uint64_t end = host_->ChunkEnd();
  return end < chunk_count_ ? end : chunk_count_;
}

void OverflowPager::ScanChunk(uint64_t chunk, uint8_t pages) {
  uint32_t word = chunks_[chunk].load(std::memory_order_relaxed);
  State state = StateOf(word);
  // Most are out, and stay there.
  if (pages == 0 && state != kResident && state != kHot) return;
  const uint32_t slot = pages != 0 ? host_->OwnerOf(chunk) : kNobody;
  uint32_t next;
  do {
    state = StateOf(word);
    if (pages == 0) {
      if (state != kResident && state != kHot) return;
      next = 0;  // given back, or taken by the system
    } else {
      const bool is_hot = state == kUnmapped || state == kWriting || state == kHot;
      next = Pack(is_hot ? kHot : kResident, pages, slot);
    }
  } while (!chunks_[chunk].compare_exchange_weak(word, next));
  const auto before = static_cast<int64_t>(PagesOf(word) * kPageBytes);
  const auto bytes = static_cast<int64_t>(pages * kPageBytes);
  if (state == kResident || state == kHot) {
    AddResident(SlotOf(word), -before);
    if (pages == 0 || SlotOf(word) != slot) NoteLeft(SlotOf(word), before);
  }
  if (state == kUnmapped || state == kWriting) cached_bytes_.fetch_sub(before);
  if (state == kOut) host_->NoteReturned(slot, static_cast<uint64_t>(bytes));
  if (pages == 0) return;
  AddResident(slot, bytes);
  if (is_seen_[slot] == 0) {
    is_seen_[slot] = 1;
    seen_[seen_count_++] = static_cast<uint16_t>(slot);
  }
}

void OverflowPager::ScanBlock(uint64_t block, uint64_t end) {
  uint8_t pages[kScanChunks];
  const uint64_t first = block * kScanChunks;
  const auto count =
      static_cast<uint32_t>(end - first < kScanChunks ? end - first : uint64_t{kScanChunks});
  host_->CountPages(first, count, pages);
  for (uint32_t i = 0; i < count; ++i) ScanChunk(first + i, pages[i]);
}

void OverflowPager::Scan(uint64_t file_bytes) {
  const uint64_t end = End();
  for (uint64_t block = 0; block * kScanChunks < end; ++block) ScanBlock(block, end);
  // Slots that have nothing any more are not looked at again until they are seen again.
  uint32_t kept = 0;
  for (uint32_t i = 0; i < seen_count_; ++i) {
    if (ResidentOf(seen_[i]) != 0) {
      seen_[kept++] = seen_[i];
    } else {
      is_seen_[seen_[i]] = 0;
    }
  }
  seen_count_ = kept;
  const uint64_t resident = resident_bytes();
  other_file_bytes_ = file_bytes > resident ? file_bytes - resident : 0;
}

void OverflowPager::NoteLeft(uint32_t slot, int64_t bytes) {
  if (needs_[slot] <= 0) return;
  need_ -= bytes < needs_[slot] ? bytes : needs_[slot];
  needs_[slot] -= bytes;
}

void OverflowPager::SetNeeds(uint64_t unseen) {
  need_ = 0;
  for (uint32_t i = 0; i < seen_count_; ++i) {
    const uint32_t slot = seen_[i];
    const uint64_t resident = ResidentOf(slot) + (slot >= kFirstTaskSlot ? unseen : 0);
    const Share share = host_->ShareOf(slot);
    needs_[slot] = resident > share.high ? static_cast<int64_t>(resident - share.low) : 0;
    need_ += needs_[slot];
  }
}

uint64_t OverflowPager::Push() {
  const uint64_t end = End();
  uint64_t unmapped = 0;
  Run runs[kMostRuns];
  uint32_t run_count = 0;
  uint64_t pending = 0;  // chunks in them
  if (first_hand_ >= end) first_hand_ = 0;
  uint64_t scanned = UINT64_MAX;
  // Once around makes what is hot less so, twice around reaches everything.
  for (uint64_t steps = 0; steps < 2 * end && need_ > 0; ++steps) {
    const uint64_t chunk = first_hand_;
    first_hand_ = chunk + 1 < end ? chunk + 1 : 0;
    if (chunk / kScanChunks != scanned) {
      scanned = chunk / kScanChunks;
      ScanBlock(scanned, end);
    }
    uint32_t word = chunks_[chunk].load(std::memory_order_relaxed);
    const uint32_t slot = SlotOf(word);
    const State state = StateOf(word);
    if ((state != kResident && state != kHot) || needs_[slot] <= 0) continue;
    const bool leaves = state == kResident;
    const uint32_t next = Pack(leaves ? kUnmapped : kResident, PagesOf(word), slot);
    // Whoever gave it back meanwhile knows better.
    if (!chunks_[chunk].compare_exchange_strong(word, next) || !leaves) continue;
    const auto bytes = static_cast<int64_t>(PagesOf(word) * kPageBytes);
    cached_bytes_.fetch_add(bytes);
    AddResident(slot, -bytes);
    NoteLeft(slot, bytes);
    unmapped += static_cast<uint64_t>(bytes);
    if (run_count > 0 && runs[run_count - 1].first + runs[run_count - 1].count == chunk) {
      ++runs[run_count - 1].count;
    } else {
      runs[run_count++] = {chunk, 1};
    }
    if (run_count < kMostRuns && ++pending < kRunChunks) continue;
    host_->Unmap(runs, run_count);
    run_count = 0;
    pending = 0;
  }
  if (run_count > 0) host_->Unmap(runs, run_count);
  return unmapped;
}

uint64_t OverflowPager::Look(uint64_t file_bytes) {
  // More than this may be another file's, or of a task that was not seen yet.
  constexpr uint64_t kMostUnseen = uint64_t{64} << 20;
  uint32_t tasks = 0;
  for (uint32_t i = 0; i < seen_count_; ++i) tasks += seen_[i] >= kFirstTaskSlot ? 1 : 0;
  if (tasks != 1 || Unseen(file_bytes) > kMostUnseen) Scan(file_bytes);
  uint64_t unmapped = 0;
  // Chunks that the hand finds to be another's by now, or nobody's, count where they are the second
  // time.
  for (int round = 0; round < 2; ++round) {
    SetNeeds(Unseen(file_bytes > unmapped ? file_bytes - unmapped : 0));
    if (need_ > 0) unmapped += Push();
  }
  for (uint32_t i = 0; i < seen_count_; ++i) needs_[seen_[i]] = 0;
  return unmapped;
}

bool OverflowPager::WriteSome() {
  if (cached_bytes() <= host_->CacheBytes()) return false;
  const uint64_t end = End();
  if (second_hand_ >= end) second_hand_ = 0;
  // The next chunk that stands unmapped, and those that follow it.
  uint64_t first = second_hand_;
  uint64_t count = 0;
  for (uint64_t steps = 0; steps < end; ++steps) {
    const uint64_t chunk = second_hand_;
    if (count > 0 && chunk % kRunChunks == 0) break;
    uint32_t word = chunks_[chunk].load(std::memory_order_relaxed);
    const bool taken =
        StateOf(word) == kUnmapped &&
        chunks_[chunk].compare_exchange_strong(word, Pack(kWriting, PagesOf(word), SlotOf(word)));
    if (!taken && count > 0) break;
    if (taken && count++ == 0) first = chunk;
    second_hand_ = chunk + 1 < end ? chunk + 1 : 0;
  }
  if (count == 0) return false;
  const bool written = host_->WriteAndDrop(first, count);
  for (uint64_t chunk = first; chunk < first + count; ++chunk) {
    uint32_t word = chunks_[chunk].load(std::memory_order_relaxed);
    const uint32_t next = Pack(written ? kOut : kUnmapped, PagesOf(word), SlotOf(word));
    if (StateOf(word) != kWriting || !chunks_[chunk].compare_exchange_strong(word, next)) continue;
    if (!written) continue;
    const uint64_t bytes = PagesOf(word) * kPageBytes;
    cached_bytes_.fetch_sub(static_cast<int64_t>(bytes));
    host_->NotePushedOut(SlotOf(word), bytes);
  }
  return written;
}

}  // namespace taskmem
