// Which overflow memory leaves memory: the policy alone, a clock with two hands.
//
//   absent --touched--> resident --first hand--> unmapped --second hand--> out
//                          ^  touched again: hot       |                    |
//                          +---------------------------+                    |
//                          +------------- touched again: it came back ------+
//
// The first hand takes a chunk out of the page table only, when its task has more resident
// than its share; who touches it again pays a minor fault and is seen to be hot: the hand
// passes it once. The second hand follows: what is still unmapped is written to disk and
// dropped from the page cache.
#ifndef TASKMEM_SPILL_OVERFLOW_OVERFLOW_PAGER_H_
#define TASKMEM_SPILL_OVERFLOW_OVERFLOW_PAGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/tasks/task_book.h"

namespace taskmem {

class OverflowPager {
 public:
  static constexpr size_t kChunkBytes = 64 * 1024;
  static constexpr size_t kPageBytes = 4096;
  static constexpr uint32_t kScanChunks = 256;
  // Owner of chunks that are in use by no task: they leave first.
  static constexpr uint32_t kNobody = kUntrackedSlot;

  // Bytes of a task that may be resident: above `high`, chunks leave until `low` is reached.
  struct Share {
    uint64_t high;
    uint64_t low;
  };

  struct Run {
    uint64_t first;  // chunk
    uint64_t count;
  };
  static constexpr uint32_t kMostRuns = 256;

  // What it acts on. Chunks are numbered from the start of the range.
  class Host {
   public:
    // All chunks in use lie below this one.
    virtual uint64_t ChunkEnd() { return 0; }
    // Resident pages of `count` chunks, at most kScanChunks, each 0 to 16.
    virtual void CountPages(uint64_t first, uint32_t count, uint8_t* pages) {
      static_cast<void>(first), static_cast<void>(count), static_cast<void>(pages);
    }
    virtual uint32_t OwnerOf(uint64_t chunk) { return static_cast<void>(chunk), kNobody; }
    virtual Share ShareOf(uint32_t slot) { return static_cast<void>(slot), Share{0, 0}; }
    // How many bytes may stay unmapped in the page cache.
    virtual uint64_t CacheBytes() { return 0; }
    // At most kMostRuns: each call interrupts the processors that run the program.
    virtual void Unmap(const Run* runs, uint32_t count) {
      static_cast<void>(runs), static_cast<void>(count);
    }
    virtual bool WriteAndDrop(uint64_t first, uint64_t count) {
      return static_cast<void>(first), static_cast<void>(count), false;
    }
    virtual void NotePushedOut(uint32_t slot, uint64_t bytes) {
      static_cast<void>(slot), static_cast<void>(bytes);
    }
    virtual void NoteReturned(uint32_t slot, uint64_t bytes) {
      static_cast<void>(slot), static_cast<void>(bytes);
    }

   protected:
    ~Host() = default;
  };

  constexpr OverflowPager() = default;
  OverflowPager(const OverflowPager&) = delete;
  OverflowPager& operator=(const OverflowPager&) = delete;

  // Once. For a range of `chunks`. False: no memory for the books.
  bool Open(Host& host, uint64_t chunks);

  // The first hand. `file_bytes`: resident pages of all files the process maps, these among
  // them: what they have grown by since the last full scan may be any task's. Unmaps what may
  // be above the shares, and looks at the page table only where the hand goes, or everywhere
  // when the sum does not tell whose it is. One thread at a time. Returns the bytes it unmapped.
  uint64_t Look(uint64_t file_bytes);

  // Looks everywhere: after this ResidentOf() is exact.
  void Scan(uint64_t file_bytes);

  // The second hand. One thread at a time, any time. Writes and drops a run of chunks where
  // more than Host::CacheBytes() stands unmapped. False: there is nothing to do, or the disk
  // does not take it.
  bool WriteSome();

  // As it was last seen.
  uint64_t resident_bytes() const { return resident_bytes_.load(std::memory_order_relaxed); }
  uint64_t ResidentOf(uint32_t slot) const;
  // Unmapped and not yet dropped.
  uint64_t cached_bytes() const {
    const int64_t bytes = cached_bytes_.load(std::memory_order_relaxed);
    return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
  }
  // How much may become resident before some task is above its `high`; 0 while what is no task's is
  // above its own. On the thread that looks.
  uint64_t Headroom(uint64_t file_bytes);
  // By how much some task may be above it.
  uint64_t Excess(uint64_t file_bytes);

  // The chunks are somebody else's now, or nobody's: nothing of them is out or cached.
  void Forget(uint64_t first, uint64_t count);

  // In a fork child, where nobody is inside.
  void ForgetAll();

 private:
  enum State : uint32_t { kAbsent, kResident, kHot, kUnmapped, kWriting, kOut };

  // A chunk in one word: its state, its resident pages, its owner.
  static constexpr uint32_t Pack(State state, uint32_t pages, uint32_t slot) {
    return state | (pages << 8) | (slot << 16);
  }
  static State StateOf(uint32_t word) { return static_cast<State>(word & 0xff); }
  static uint32_t PagesOf(uint32_t word) { return (word >> 8) & 0xff; }
  static uint32_t SlotOf(uint32_t word) { return word >> 16; }

  uint64_t End();
  // What is resident and not yet seen to be.
  uint64_t Unseen(uint64_t file_bytes) const;
  void ScanBlock(uint64_t block, uint64_t end);
  void ScanChunk(uint64_t chunk, uint8_t pages);
  void AddResident(uint32_t slot, int64_t bytes);
  // How much of each slot is to leave.
  void SetNeeds(uint64_t unseen);
  // So much of the slot is no longer resident, or another's.
  void NoteLeft(uint32_t slot, int64_t bytes);
  // Unmaps until nothing more is to leave. Returns how much.
  uint64_t Push();

  Host* host_ = nullptr;
  std::atomic<uint32_t>* chunks_ = nullptr;
  uint64_t chunk_count_ = 0;
  std::atomic<uint64_t>* resident_ = nullptr;  // by slot
  int64_t* needs_ = nullptr;                   // by slot: bytes that are to leave
  int64_t need_ = 0;                           // of all slots
  uint16_t* seen_ = nullptr;                   // slots that had resident chunks
  uint8_t* is_seen_ = nullptr;                 // by slot
  uint32_t seen_count_ = 0;
  uint64_t other_file_bytes_ = 0;  // resident pages of other files
  uint64_t first_hand_ = 0;
  uint64_t second_hand_ = 0;
  std::atomic<uint64_t> resident_bytes_{0};
  std::atomic<int64_t> cached_bytes_{0};
};

// Memory that goes out and comes back all the time: in one window of observation at least
// half of what may be resident came back, and at least half of what went out.
constexpr bool IsThrashing(uint64_t pushed_out_bytes, uint64_t returned_bytes,
                           uint64_t quota_bytes) {
  return returned_bytes >= quota_bytes / 2 && returned_bytes >= pushed_out_bytes / 2;
}

}  // namespace taskmem

#endif  // TASKMEM_SPILL_OVERFLOW_OVERFLOW_PAGER_H_
