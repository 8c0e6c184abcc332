#include "shim/books/pool_size.h"

#include <atomic>

#include "shim/base/memory_limit.h"
#include "shim/base/os.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// The size of the pools where nobody set it; 0: somebody did.
std::atomic<uint64_t> g_unset_memory_bytes{0};
std::atomic<uint64_t> g_last_full_ns{0};  // when a look found no room

enum class MemorySize : uint8_t {
  kKnown,
  kGuessed,   // the machine's stands for it
  kLookedUp,  // at this moment
};
std::atomic<MemorySize> g_memory_size{MemorySize::kKnown};
double g_storage_fraction = 0;

int64_t StorageRegion(uint64_t memory) {
  return static_cast<int64_t>(static_cast<double>(memory) * g_storage_fraction);
}

void ShowMemory(uint64_t memory) {
  g_stats->pools.memory_bytes.store(memory < kMostMemory ? memory : kNoPool,
                                    std::memory_order_relaxed);
}

}  // namespace

void FirstSize(const Options& options, bool is_guessed, MemoryManagerOptions* settings) {
  const uint64_t memory = options.memory_bytes != 0 ? options.memory_bytes
                          : is_guessed              ? MachineMemoryBytes()
                                                    : DefaultMemoryBytes();
  const uint64_t size = memory < kMostMemory ? memory : kMostMemory;
  if (options.memory_bytes == 0 && memory < kMostMemory) g_unset_memory_bytes.store(memory);
  if (is_guessed) g_memory_size.store(MemorySize::kGuessed);
  g_storage_fraction = options.storage_fraction;
  settings->max_off_heap_bytes = static_cast<int64_t>(size);
  settings->off_heap_storage_region_bytes = StorageRegion(size);
  if (!is_guessed) ShowMemory(memory);
}

bool MemoryIsUnset() { return g_unset_memory_bytes.load(std::memory_order_relaxed) != 0; }

bool IsMemoryGuessed() {
  return g_memory_size.load(std::memory_order_relaxed) == MemorySize::kGuessed;
}

bool IsWorthLookingUp(uint64_t bytes) {
  // More than the first tasks of a small program hold, and far less than any container gives.
  constexpr uint64_t kLookUpAboveBytes = 512 * 1024;
  return IsMemoryGuessed() &&
         (bytes > kLookUpAboveBytes ||
          g_stats->charged_bytes.load(std::memory_order_relaxed) + bytes > kLookUpAboveBytes);
}

__attribute__((noinline)) void LookUpSize(UnifiedMemoryManager* manager) {
  MemorySize guessed = MemorySize::kGuessed;
  if (!g_memory_size.compare_exchange_strong(guessed, MemorySize::kLookedUp)) return;
  const uint64_t memory = DefaultMemoryBytes();
  const uint64_t size = memory < kMostMemory ? memory : kMostMemory;
  g_unset_memory_bytes.store(memory < kMostMemory ? memory : 0, std::memory_order_relaxed);
  manager->Resize(static_cast<int64_t>(size), StorageRegion(size), MemoryMode::kOffHeap);
  ShowMemory(memory);
  g_memory_size.store(MemorySize::kKnown, std::memory_order_release);
}

uint64_t ChangeSize(UnifiedMemoryManager* manager, uint64_t bytes) {
  const uint64_t before = g_stats->pools.memory_bytes.load(std::memory_order_relaxed);
  if (before == 0) return 0;
  const uint64_t size = bytes < kMostMemory ? bytes : kMostMemory;
  // It bounds what is granted from now on, not what is in memory.
  g_unset_memory_bytes.store(0, std::memory_order_relaxed);
  manager->Resize(static_cast<int64_t>(size), StorageRegion(size), MemoryMode::kOffHeap);
  ShowMemory(size);
  return before;
}

void LookAtMemoryAgain() { g_last_full_ns.store(0, std::memory_order_relaxed); }

// A request for more than all there is cannot be meant to be touched whole.
bool LendUntouched(UnifiedMemoryManager* manager, uint64_t bytes) {
  // A program that has used it all up does not have /proc read for each request.
  constexpr uint64_t kPatienceNs = 1'000'000;
  const uint64_t memory = g_unset_memory_bytes.load(std::memory_order_relaxed);
  if (memory == 0 || bytes > uint64_t{1} << 60) return false;
  const uint64_t now = os::MonotonicNs();
  if (now - g_last_full_ns.load(std::memory_order_relaxed) < kPatienceNs) return false;
  const uint64_t resident = ResidentMemoryBytes();
  const uint64_t touched = bytes <= memory ? bytes : 0;
  if (resident > memory || touched > memory - resident) {
    g_last_full_ns.store(now, std::memory_order_relaxed);
    return false;
  }
  // The next look comes after a part of what is left: what was lent may be touched by then.
  const uint64_t ahead = (memory - resident - touched) / 16;
  return manager->Lend(static_cast<int64_t>(bytes + ahead), static_cast<int64_t>(ahead),
                       MemoryMode::kOffHeap);
}

void SizeAfterFork() {
  MemorySize looked_up = MemorySize::kLookedUp;
  g_memory_size.compare_exchange_strong(looked_up, MemorySize::kGuessed);
}

}  // namespace taskmem
