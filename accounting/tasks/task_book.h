// The book of one task: what it holds, what it may hold, what was refused.
//
//   charged_bytes   every byte the task holds has been added here before use
//   granted_bytes   what the task has acquired from the pools: charged <= granted,
//                   but for charges on their way
//   overdraft       max(0, charged - quota): what policy let through, or what a
//                   lowered quota left above the line
//   charged - overdraft <= quota, at every moment, by construction
//
// All members are atomics without locks, so that a charge may be made anywhere:
// in a signal handler, in a fork child, while another thread reads.
#ifndef TASKMEM_ACCOUNTING_TASKS_TASK_BOOK_H_
#define TASKMEM_ACCOUNTING_TASKS_TASK_BOOK_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

// Task slots of one process. A slot is a dense small integer; block owners are
// kept as 16-bit slot + 1, hence the limit: 0 and 65535 mean other things
// (shim/pages/shared_page.h).
inline constexpr uint32_t kMaxTaskSlots = 65534;
inline constexpr uint32_t kUntrackedSlot = 0;
// Ended tasks beyond a bounded number are added up here.
inline constexpr uint32_t kEndedTasksSlot = 1;
// What spill hooks allocate while they run: never refused, and of no task.
inline constexpr uint32_t kSpillReserveSlot = 2;
// Cached blocks, which outlive the task that made them. Drawn from the storage pool.
inline constexpr uint32_t kStorageSlot = 3;
// What threads of engines' pools allocate while several tasks are active.
inline constexpr uint32_t kSharedSlot = 4;
inline constexpr uint32_t kFirstTaskSlot = 5;

// Ids that stand for slots of no task, as UINT64_MAX does for untracked.
inline constexpr uint64_t kStorageId = UINT64_MAX - 1;
inline constexpr uint64_t kSpillReserveId = UINT64_MAX - 2;
inline constexpr uint64_t kSharedId = UINT64_MAX - 4;

inline constexpr uint64_t kNoQuota = UINT64_MAX;
// Of books that draw on no pool.
inline constexpr uint64_t kNoPool = UINT64_MAX;

enum class TaskState : uint32_t { kFree = 0, kLive = 1, kEnded = 2 };

enum class ChargeOutcome : uint8_t { kCharged, kOverQuota, kOverGrant };

struct alignas(128) TaskBook {
  static constexpr uint32_t kNameBytes = 48;

  std::atomic<uint64_t> charged_bytes;
  std::atomic<uint64_t> quota_bytes;
  std::atomic<uint64_t> peak_charged_bytes;
  std::atomic<uint64_t> pages;
  std::atomic<uint64_t> refusals;
  std::atomic<uint64_t> overdrafts;
  std::atomic<uint64_t> peak_overdraft_bytes;
  std::atomic<uint64_t> task_id;
  std::atomic<TaskState> state;
  std::atomic<uint32_t> sequence;  // odd while id, name and state change
  char name[kNameBytes];           // NUL-terminated
  std::atomic<uint64_t> granted_bytes;

  // Adds `bytes` unless that would pass the quota or what is granted. Lock-free.
  ChargeOutcome TryCharge(uint64_t bytes) {
    uint64_t charged = charged_bytes.load(std::memory_order_relaxed);
    do {
      const uint64_t quota = quota_bytes.load(std::memory_order_relaxed);
      const uint64_t granted = granted_bytes.load(std::memory_order_relaxed);
      // charged may lie above a quota that was lowered: compare before subtracting.
      if (charged > quota || bytes > quota - charged) return ChargeOutcome::kOverQuota;
      if (charged > granted || bytes > granted - charged) return ChargeOutcome::kOverGrant;
    } while (!charged_bytes.compare_exchange_weak(charged, charged + bytes));
    // Who takes grants back lowers granted_bytes and then looks at charged_bytes: of the
    // two of us, one sees the other.
    if (__builtin_expect(charged + bytes > granted_bytes.load(), 0)) {
      charged_bytes.fetch_sub(bytes);
      return ChargeOutcome::kOverGrant;
    }
    RaisePeak(peak_charged_bytes, charged + bytes);
    return ChargeOutcome::kCharged;
  }

  // Adds `bytes` unless that would pass the quota. Grant and peak are the caller's business.
  bool ChargeWithinQuota(uint64_t bytes) {
    uint64_t charged = charged_bytes.load(std::memory_order_relaxed);
    do {
      const uint64_t quota = quota_bytes.load(std::memory_order_relaxed);
      if (charged > quota || bytes > quota - charged) return false;
    } while (!charged_bytes.compare_exchange_weak(charged, charged + bytes));
    return true;
  }

  // Adds `bytes` whatever the quota is, and counts an overdraft where it passes it.
  // Returns what is charged now.
  uint64_t ChargeOverQuota(uint64_t bytes) {
    const uint64_t charged = charged_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    RaisePeak(peak_charged_bytes, charged);
    const uint64_t quota = quota_bytes.load(std::memory_order_relaxed);
    if (charged > quota) {
      overdrafts.fetch_add(1, std::memory_order_relaxed);
      RaisePeak(peak_overdraft_bytes, charged - quota);
    }
    return charged;
  }

  // Takes back what was charged. Returns what remains.
  uint64_t Credit(uint64_t bytes) { return charged_bytes.fetch_sub(bytes) - bytes; }

  uint64_t Overdraft() const {
    const uint64_t charged = charged_bytes.load(std::memory_order_relaxed);
    const uint64_t quota = quota_bytes.load(std::memory_order_relaxed);
    return charged > quota ? charged - quota : 0;
  }

  static void RaisePeak(std::atomic<uint64_t>& peak, uint64_t value) {
    uint64_t seen = peak.load(std::memory_order_relaxed);
    while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
};

static_assert(sizeof(TaskBook) == 128);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_TASKS_TASK_BOOK_H_
