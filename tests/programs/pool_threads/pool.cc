// pool LIBRARY serial|together|left|attached|untracked|program: whom a library's pool of threads
// works for.
//   serial      tasks one after another: all that the pool allocates is the task's
//   together    with two tasks active: of neither
//   left        two, of which one ends while the pool works: then of the other
//   attached    a thread of the pool that attaches itself works for that task
//   untracked   --pool-threads untracked: for none
//   program     the library is no engine's: its threads work for the task of who made them
#include <dlfcn.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

namespace {

using taskmem::test::StatsFile;

void (*StartPool)(int threads);
void (*GivePool)(void (*function)(void*), void* argument);

constexpr uint64_t kOther = kTask + 1;
constexpr size_t kBlocks = 20'000;

// What the pool does: allocates blocks of many sizes.
struct Work {
  std::vector<void*> blocks = std::vector<void*>(kBlocks);
  uint64_t attach_to = 0;  // 0: to none
  std::atomic<bool> is_done{false};
};

void Allocate(void* argument) {
  auto* const work = static_cast<Work*>(argument);
  if (work->attach_to != 0) Attach(work->attach_to);
  uint64_t random = 88172645463325252;
  for (void*& block : work->blocks) {
    const uint64_t number = NextRandom(&random);
    const size_t size = number % 50 == 0 ? 5000 + number % 300'000 : 16 + number % 1000;
    block = malloc(size);
    REQUIRE(block != nullptr);
    memset(block, 1, size < 64 ? size : 64);
  }
  work->is_done.store(true);
  work->is_done.notify_all();
}

void RunOnPool(Work* work) {
  work->is_done.store(false);
  GivePool(Allocate, work);
  work->is_done.wait(false);
}

// How many of the blocks are of the task.
size_t CountOf(const Work& work, uint64_t task) {
  size_t count = 0;
  for (void* block : work.blocks) count += OwnerOf(block) == task ? 1 : 0;
  return count;
}

void Free(const Work& work) {
  for (void* block : work.blocks) free(block);
}

void AttachedWork(uint64_t task, Work* work) {
  std::thread([=] {
    Attach(task);
    RunOnPool(work);
    Detach();
  }).join();
}

void Serial() {
  StartPool(2);
  for (uint64_t task = kTask; task < kTask + 5; ++task) {
    Begin(task);
    Work work;
    AttachedWork(task, &work);
    REQUIRE_COMPARE(CountOf(work, task), ==, kBlocks);
    const uint64_t charged = Charged(task);
    Free(work);
    REQUIRE_COMPARE(charged, >, 10 * kMiB);
    End(task);
  }
  const StatsFile stats = StatsFile::Own();
  REQUIRE_COMPARE(stats.book(taskmem::kSharedSlot).peak_charged_bytes.load(), ==, 0);
}

// Runs `during` while a thread of its own works for a task.
template <typename During>
void WhileOneWorksFor(uint64_t task, During during) {
  std::atomic<bool> is_attached{false};
  std::atomic<bool> is_over{false};
  std::thread other([&] {
    Attach(task);
    is_attached.store(true);
    is_attached.notify_all();
    is_over.wait(false);
    Detach();
  });
  is_attached.wait(false);
  during();
  is_over.store(true);
  is_over.notify_all();
  other.join();
}

void Together() {
  StartPool(1);
  Begin(kTask);
  Begin(kOther);
  Work work;
  WhileOneWorksFor(kOther, [&] { AttachedWork(kTask, &work); });
  REQUIRE_COMPARE(CountOf(work, TASKMEM_SHARED), ==, kBlocks);
  const StatsFile stats = StatsFile::Own();
  REQUIRE_COMPARE(stats.book(taskmem::kSharedSlot).charged_bytes.load(), >, 10 * kMiB);
  REQUIRE_COMPARE(stats.header().shared_by_tasks.load(), ==, 2);
  REQUIRE_COMPARE(Charged(kTask), <, kMiB);
  REQUIRE_COMPARE(Charged(kOther), <, kMiB);
  taskmem_task_status status = {};
  status.size = sizeof(status);
  REQUIRE_COMPARE(taskmem_task_info(TASKMEM_SHARED, &status), ==, 0);
  REQUIRE_COMPARE(status.usage.charged_bytes, >, 10 * kMiB);
  Free(work);
  End(kTask);
  End(kOther);
}

void Left() {
  StartPool(1);
  Begin(kTask);
  Begin(kOther);
  Work shared;
  WhileOneWorksFor(kOther, [&] { AttachedWork(kTask, &shared); });
  REQUIRE_COMPARE(CountOf(shared, TASKMEM_SHARED), ==, kBlocks);
  End(kOther);
  Work own;
  AttachedWork(kTask, &own);
  REQUIRE_COMPARE(CountOf(own, kTask), ==, kBlocks);
  End(kTask);
  Work nobodys;
  RunOnPool(&nobodys);
  REQUIRE_COMPARE(CountOf(nobodys, kTask) + CountOf(nobodys, TASKMEM_SHARED), ==, 0);
  Free(shared);
  Free(own);
  Free(nobodys);
}

void Attached() {
  StartPool(1);
  Begin(kTask);
  Begin(kOther);
  Work work;
  work.attach_to = kTask;
  WhileOneWorksFor(kOther, [&] { RunOnPool(&work); });
  REQUIRE_COMPARE(CountOf(work, kTask), ==, kBlocks);
  Free(work);
  End(kTask);
  End(kOther);
}

void OfNone(uint64_t expected) {
  Begin(kTask);
  Attach(kTask);
  StartPool(1);
  Work work;
  RunOnPool(&work);
  REQUIRE_COMPARE(CountOf(work, expected), ==, kBlocks);
  Free(work);
  Detach();
  End(kTask);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  StartPool = reinterpret_cast<decltype(StartPool)>(dlsym(library, "StartPool"));
  GivePool = reinterpret_cast<decltype(GivePool)>(dlsym(library, "GivePool"));
  REQUIRE(StartPool != nullptr && GivePool != nullptr);
  const std::string what = argv[2];
  if (what == "serial") {
    Serial();
  } else if (what == "together") {
    Together();
  } else if (what == "left") {
    Left();
  } else if (what == "attached") {
    Attached();
  } else if (what == "untracked") {
    OfNone(TASKMEM_UNTRACKED);
  } else {
    REQUIRE(what == "program");
    OfNone(kTask);
  }
  _exit(0);  // the pool's threads are still there
}
