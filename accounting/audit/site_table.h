// Allocation sites: which stacks allocated what is live now, by samples.
//
//   stacks    each distinct stack once, never removed, up to kMaxStacks; then "other". Frames in a
//             library that is unloaded are marked (unloaded_code.h): the stack is no more found by
//             code that comes to lie at the same addresses, unless it is the same library again
//   samples   one for each sampled block that is live: its address, stack, bytes and weight
//
// A sample is remembered when a block is allocated and forgotten when it is freed, so the
// weights of a stack's samples add up to an estimate of what it holds now. Both tables are
// open to readers in other processes while they change (tools/audit/site_estimates.h): a sample
// counts once its address is there.
//
// Lock-free: callable from signal handlers. Memory is bounded; what no longer fits is counted.
#ifndef TASKMEM_ACCOUNTING_AUDIT_SITE_TABLE_H_
#define TASKMEM_ACCOUNTING_AUDIT_SITE_TABLE_H_

#include <atomic>
#include <cstdint>

#include "accounting/audit/unloaded_code.h"
#include "accounting/memory/memory_allocator.h"

namespace taskmem {

inline constexpr uint32_t kMaxFrames = 64;

enum SiteFlags : uint32_t {
  kSiteWhole = 0,        // the stack ends where the thread begins
  kSiteUnknownCode = 1,  // it was cut where it enters code of no module: generated code
  kSiteCut = 2,          // it was cut for another reason: too deep, or not understood
};

struct SiteStack {
  uint64_t hash;
  uint32_t depth;
  uint32_t flags;   // SiteFlags
  uint32_t number;  // above 0; its place in SiteTableHead::index, counted from 1
  uint32_t reserved;
  SiteStack* older;   // made before it; nullptr: it is the first
  uint64_t frames[];  // `depth` return addresses, the innermost first; read and written whole
};

struct SiteSample {
  // The block's address; 0: never used, 1: free again, 2: being filled in.
  std::atomic<uint64_t> block;
  std::atomic<uint64_t> stack;   // address of the SiteStack
  std::atomic<uint64_t> bytes;   // of the block
  std::atomic<uint64_t> weight;  // what it stands for, at least `bytes`
};

inline constexpr uint32_t kSampleLevels = 9;
inline constexpr uint64_t SampleLevelSize(uint32_t level) { return uint64_t{4096} << level; }

// Numbers of stacks are at most that.
inline constexpr uint32_t kSiteIndexSize = 1 << 17;

struct SiteTableHead {
  std::atomic<uint64_t> interval_bytes;
  std::atomic<uint64_t> levels[kSampleLevels];  // addresses of SiteSample[SampleLevelSize(i)]
  std::atomic<uint64_t> index;                  // address of SiteStack*[kSiteIndexSize]
  std::atomic<uint64_t> stacks;                 // how many
  std::atomic<uint64_t> lost_samples;           // for which there was no room
  std::atomic<uint64_t> lost_bytes;             // what these stood for
};

class SiteTable {
 public:
  static constexpr uint32_t kMaxStacks = kSiteIndexSize / 2;

  // Whether the library of an UnloadedFrame is loaded again where it was. The calling thread's
  // stack has that address, so that something is loaded there.
  using IsLoadedAgain = bool (*)(uint64_t frame);

  // Zeroed memory, which is never given back.
  explicit constexpr SiteTable(const MemorySource& source, IsLoadedAgain is_loaded_again = nullptr)
      : source_(source), is_loaded_again_(is_loaded_again) {}

  // Once. False: no memory, and the table takes nothing.
  bool Open(uint64_t interval_bytes);

  // The one entry for this stack; nullptr: no memory. At most kMaxFrames frames.
  const SiteStack* Intern(const uint64_t* frames, uint32_t depth, uint32_t flags);

  // The stack that was made last; nullptr: there is none.
  const SiteStack* newest() const { return newest_.load(std::memory_order_acquire); }

  // What was loaded at [start, end) is gone: frames there become UnloadedFrame of a number, which
  // number(context) is asked for once, if there are such frames. Of stacks that are newer than
  // `certain`, which may have been made by other code there, they become those of number 0 where
  // `is_reused`. Not at the same time as another.
  struct Unloaded {
    uint64_t start;
    uint64_t end;
    const SiteStack* certain;
    bool is_reused;
    uint32_t (*number)(void* context);
    void* context;
  };
  void NoteUnloaded(const Unloaded& unloaded);

  // `block` is above 2 and has no sample. False: no room; counted as lost.
  bool Remember(uint64_t block, const SiteStack* stack, uint64_t bytes, uint64_t weight);

  // False: the block has no sample. A block is forgotten by who frees it, and by nobody else
  // at that time.
  bool Forget(uint64_t block);

  // The block was resized in place: what it stands for grows with it. As Forget.
  void Resize(uint64_t block, uint64_t bytes);

  // As Forget, of a block that goes to another address: what Remember takes for it there.
  struct Sample {
    const SiteStack* stack;  // nullptr: it had none
    uint64_t bytes;
    uint64_t weight;
  };
  Sample Remove(uint64_t block);

  const SiteTableHead& head() const { return head_; }

 private:
  static constexpr uint32_t kProbes = 16;

  SiteSample* Level(uint32_t level, bool make);
  SiteSample* Find(uint64_t block);
  bool IsStack(SiteStack* stack, uint64_t hash, const uint64_t* frames, uint32_t depth,
               uint32_t flags) const;
  bool TakeBack(SiteStack* stack, const uint64_t* frames) const;

  SiteTableHead head_ = {};
  std::atomic<std::atomic<SiteStack*>*> index_ = nullptr;
  std::atomic<SiteStack*> newest_ = nullptr;
  const MemorySource source_;
  const IsLoadedAgain is_loaded_again_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_SITE_TABLE_H_
