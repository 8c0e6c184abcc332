// Threads come and go, tasks begin and end, everybody allocates and anybody
// frees. After each round, while all rest, every task's charge is at least what
// is live in it; at the end it is 0. The argument is the seed.
#include <malloc.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

constexpr int kThreads = 8;
constexpr int kRounds = 60;
constexpr int kSteps = 4000;
constexpr int kPlaces = 20000;
constexpr uint64_t kLiveTasks = 6;

// The head of every block.
struct Block {
  uint64_t task;
  uint64_t size;
  uint64_t check;  // task ^ size ^ the block's place in memory
};

std::atomic<Block*> g_places[kPlaces];
std::atomic<uint64_t> g_tasks[kLiveTasks];

size_t RandomSize(uint64_t* random) {
  const uint64_t kind = NextRandom(random) % 1000;
  const uint64_t bytes = NextRandom(random);
  const size_t head = sizeof(Block) + 1;
  if (kind < 700) return head + bytes % 300;
  if (kind < 950) return head + bytes % 5000;
  if (kind < 997) return head + bytes % 100000;
  return head + bytes % 2000000;
}

uint64_t CheckOf(const Block* block) {
  return block->task ^ block->size ^ reinterpret_cast<uintptr_t>(block);
}

Block* NewBlock(uint64_t task, uint64_t* random) {
  const size_t size = RandomSize(random);
  auto* block = static_cast<Block*>(NextRandom(random) % 20 == 0
                                        ? memalign(size_t{32} << NextRandom(random) % 8, size)
                                        : malloc(size));
  REQUIRE(block != nullptr);
  block->task = task;
  block->size = size;
  block->check = CheckOf(block);
  static_cast<char*>(static_cast<void*>(block))[size - 1] = 1;
  return block;
}

void Free(Block* block) {
  if (block == nullptr) return;
  REQUIRE(block->check == CheckOf(block));
  REQUIRE(OwnerOf(block) == block->task);
  block->check = 0;
  free(block);
}

void Work(uint64_t seed) {
  uint64_t random = seed;
  uint64_t task = TASKMEM_UNTRACKED;
  for (int step = 0; step < kSteps; ++step) {
    if (step % 200 == 0) {
      task = NextRandom(&random) % 10 == 0 ? TASKMEM_UNTRACKED
                                           : g_tasks[NextRandom(&random) % kLiveTasks].load();
      Attach(task);
    }
    std::atomic<Block*>& place = g_places[NextRandom(&random) % kPlaces];
    Block* fresh = NextRandom(&random) % 2 == 0 ? NewBlock(task, &random) : nullptr;
    Free(place.exchange(fresh));
  }
}

// Every block is in its place and every book holds at least its blocks.
void CheckBooks(const taskmem::test::StatsFile& stats) {
  std::map<uint64_t, uint64_t> live;
  for (std::atomic<Block*>& place : g_places) {
    const Block* block = place.load();
    if (block == nullptr) continue;
    REQUIRE(block->check == CheckOf(block));
    live[block->task] += block->size;
  }
  for (const auto& [task, bytes] : live) {
    const taskmem::TaskBook* book =
        task == TASKMEM_UNTRACKED ? &stats.book(taskmem::kUntrackedSlot) : stats.Find(task);
    REQUIRE(book != nullptr);
    REQUIRE_COMPARE(book->charged_bytes.load(), >=, bytes);
  }
  RequireBooksMatchPages();
}

// What all tasks of this program hold, live and ended.
uint64_t StillCharged(const taskmem::test::StatsFile& stats, uint64_t next_task) {
  uint64_t bytes = 0;
  for (uint32_t slot = taskmem::kEndedTasksSlot; slot < stats.slots(); ++slot) {
    const taskmem::TaskBook& book = stats.book(slot);
    const uint64_t id = book.task_id.load();
    const bool is_ours = slot == taskmem::kEndedTasksSlot || (id >= kTask && id < next_task);
    if (is_ours) bytes += book.charged_bytes.load();
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  uint64_t random = strtoull(argv[1], nullptr, 10);
  printf("seed %llu\n", static_cast<unsigned long long>(random));
  fflush(stdout);
  Detach();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  uint64_t next_task = kTask;
  for (std::atomic<uint64_t>& task : g_tasks) {
    Begin(next_task);
    task.store(next_task++);
  }
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(Work, NextRandom(&random));
    for (std::thread& thread : threads) thread.join();
    CheckBooks(stats);
    // One task a round ends; what it leaves is freed in later rounds.
    std::atomic<uint64_t>& task = g_tasks[static_cast<uint64_t>(round) % kLiveTasks];
    End(task.load());
    Begin(next_task);
    task.store(next_task++);
  }
  for (std::atomic<Block*>& place : g_places) Free(place.exchange(nullptr));
  RequireBooksMatchPages();
  // A thread of the library's own may have a context while that is trimmed.
  for (int i = 0; i < 200; ++i) {
    malloc_trim(0);
    RequireBooksMatchPages();
    if (StillCharged(stats, next_task) == 0) break;
    usleep(10'000);
  }
  REQUIRE_COMPARE(StillCharged(stats, next_task), ==, 0);
}
