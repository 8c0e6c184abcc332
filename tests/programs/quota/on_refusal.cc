// The program is told of each refusal, and may allocate, free, detach, throw and end its thread
// there.
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

struct Told {
  int calls = 0;
  uint64_t task = 0;
  uint64_t request_bytes = 0;
  uint64_t charged_bytes = 0;
  uint64_t quota_bytes = 0;
  std::string text;
};

void Note(void* context, const taskmem_refusal* refusal) {
  Told& told = *static_cast<Told*>(context);
  REQUIRE(refusal->size == sizeof(taskmem_refusal));
  ++told.calls;
  told.task = refusal->task;
  told.request_bytes = refusal->request_bytes;
  told.charged_bytes = refusal->charged_bytes;
  told.quota_bytes = refusal->quota_bytes;
  // Allocates, more than the quota leaves.
  told.text = refusal->text + std::string(6 * kMiB, ' ');
}

void Refuse(size_t bytes = 32 * kMiB) {
  errno = 0;
  REQUIRE(malloc(bytes) == nullptr);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
}

void EachIsTold() {
  static Told told;
  Begin(kTask, 16 * kMiB, "told");
  Attach(kTask);
  void* const held = malloc(12 * kMiB);
  REQUIRE_COMPARE(taskmem_on_refusal(Note, &told), ==, 0);
  Refuse();
  REQUIRE_COMPARE(told.calls, ==, 1);
  REQUIRE_COMPARE(told.task, ==, kTask);
  REQUIRE_COMPARE(told.request_bytes, ==, 32 * kMiB);
  REQUIRE_COMPARE(told.charged_bytes, >=, 12 * kMiB);
  REQUIRE_COMPARE(told.quota_bytes, ==, 16 * kMiB);
  REQUIRE(told.text.find("task 1000000000 (told) refused 32.0 MiB: holds 12.") == 0);
  REQUIRE(told.text.find(" of its quota of 16.0 MiB; ") != std::string::npos);
  // Each, by whatever call.
  for (int i = 0; i < 10; ++i) Refuse();
  REQUIRE_COMPARE(told.calls, ==, 11);
  REQUIRE(realloc(held, 32 * kMiB) == nullptr);
  REQUIRE(mmap(nullptr, 32 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
          MAP_FAILED);
  bool caught = false;
  try {
    ::operator delete(::operator new(32 * kMiB));
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  REQUIRE(caught);
  REQUIRE_COMPARE(told.calls, ==, 14);
  // What it has allocated is its own, and the books are right.
  REQUIRE_COMPARE(Charged(kTask), <=, 16 * kMiB);
  told.text = {};
  // What small requests overdraw is no refusal.
  Hide(malloc(100));
  REQUIRE_COMPARE(taskmem_on_refusal(nullptr, nullptr), ==, 0);
  Refuse();
  REQUIRE_COMPARE(told.calls, ==, 14);
  free(held);
  Detach();
  End(kTask);
}

void DetachesAndEnds() {
  Begin(kTask + 1, kMiB, "ended");
  Attach(kTask + 1);
  REQUIRE_COMPARE(taskmem_on_refusal(
                      [](void*, const taskmem_refusal* refusal) {
                        Detach();
                        free(malloc(8 * kMiB));
                        End(refusal->task);
                        Begin(kTask + 2, kMiB);
                        Attach(kTask + 2);
                      },
                      nullptr),
                  ==, 0);
  Refuse();
  uint64_t task = 0;
  REQUIRE_COMPARE(taskmem_thread_task(&task), ==, 0);
  REQUIRE(task == TASKMEM_UNTRACKED);
  End(kTask + 2);
}

void ThrowsAndNests() {
  static std::atomic<int> calls{0};
  Begin(kTask + 3, kMiB, "throws");
  REQUIRE_COMPARE(taskmem_on_refusal(
                      [](void*, const taskmem_refusal*) {
                        // Never refused here: not told again.
                        void* const large = malloc(64 * kMiB);
                        REQUIRE(large != nullptr);
                        free(large);
                        if (++calls % 2 == 0) throw std::runtime_error("ends in taskmem");
                      },
                      nullptr),
                  ==, 0);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      Attach(kTask + 3);
      for (int k = 0; k < 50; ++k) Refuse(8 * kMiB);
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE_COMPARE(calls.load(), ==, 200);
  REQUIRE_COMPARE(
      taskmem_on_refusal([](void*, const taskmem_refusal*) { pthread_exit(nullptr); }, nullptr), ==,
      0);
  std::thread([] {
    Attach(kTask + 3);
    Hide(malloc(8 * kMiB));
    REQUIRE(!"a thread that has ended");
  }).join();
  REQUIRE_COMPARE(taskmem_on_refusal(nullptr, nullptr), ==, 0);
  REQUIRE_COMPARE(Charged(kTask + 3), <=, kMiB);
  End(kTask + 3);
}

__attribute__((noinline)) void* HoldsBlocks(size_t bytes) { return Hide(malloc(bytes)); }
__attribute__((noinline)) void* HoldsNews(size_t bytes) { return Hide(::operator new(bytes)); }
__attribute__((noinline)) void* HoldsMapping(size_t bytes) {
  return Hide(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

// The largest first, and none of another task's; where nothing is sampled the text says nothing.
__attribute__((noinline)) void LargestSites(bool is_sampled) {
  static Told told;
  constexpr uint64_t kOther = kTask + 5;
  Begin(kOther);
  Attach(kOther);
  void* const of_other = malloc(40 * kMiB);
  Begin(kTask + 4, 64 * kMiB, "sites");
  Attach(kTask + 4);
  void* const blocks[] = {HoldsBlocks(6 * kMiB), HoldsBlocks(6 * kMiB)};
  void* const news = HoldsNews(20 * kMiB);
  void* const mapped = HoldsMapping(8 * kMiB);
  REQUIRE_COMPARE(taskmem_on_refusal(Note, &told), ==, 0);
  for (int i = 0; i < 3; ++i) {
    Refuse();
    const size_t sites = told.text.find("; largest sites: ");
    if (!is_sampled) {
      REQUIRE(sites == std::string::npos);
      continue;
    }
    REQUIRE(sites != std::string::npos);
    const std::string text = told.text.substr(sites);
    REQUIRE(
        text.find(": 20.0 MiB by (anonymous)::HoldsNews < (anonymous)::LargestSites (on_refusal)"
                  ", 12.0 MiB by (anonymous)::HoldsBlocks < (anonymous)::LargestSites (on_refusal)"
                  ", 8.0 MiB by (anonymous)::HoldsMapping < ") != std::string::npos);
  }
  REQUIRE_COMPARE(taskmem_on_refusal(nullptr, nullptr), ==, 0);
  told.text = {};
  free(blocks[0]);
  free(blocks[1]);
  ::operator delete(news);
  munmap(mapped, 8 * kMiB);
  free(of_other);
  Detach();
  End(kTask + 4);
  End(kOther);
}

// Refused at every turn, a program does not look for its sites each time.
void SitesOfSoManyInASecond(bool is_sampled) {
  static std::atomic<int> with_sites{0};
  Begin(kTask + 6, 16 * kMiB);
  Attach(kTask + 6);
  void* const held = HoldsBlocks(6 * kMiB);
  REQUIRE_COMPARE(taskmem_on_refusal(
                      [](void*, const taskmem_refusal* refusal) {
                        if (strstr(refusal->text, "; largest sites: ") != nullptr) ++with_sites;
                      },
                      nullptr),
                  ==, 0);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) Refuse();
  const auto tenths = (std::chrono::steady_clock::now() - began) / std::chrono::milliseconds(100);
  if (is_sampled) REQUIRE_COMPARE(with_sites.load(), >, 0);
  REQUIRE_COMPARE(with_sites.load(), <=, 20 + tenths + 1);
  REQUIRE_COMPARE(taskmem_on_refusal(nullptr, nullptr), ==, 0);
  free(held);
  Detach();
  End(kTask + 6);
}

void OnlySoMany() {
  int error = 0;
  for (intptr_t i = 0; i < 100 && error == 0; ++i) {
    error = taskmem_on_refusal(Note, reinterpret_cast<void*>(i));
    // The same again takes no room.
    if (error == 0) REQUIRE_COMPARE(taskmem_on_refusal(Note, reinterpret_cast<void*>(i)), ==, 0);
  }
  REQUIRE_COMPARE(error, ==, ENOSPC);
  REQUIRE_COMPARE(taskmem_on_refusal(nullptr, nullptr), ==, 0);
}

}  // namespace

int main() {
  const char* const sites = getenv("TASKMEM_SITES");
  const bool is_sampled = sites == nullptr || std::string(sites) != "off";
  LargestSites(is_sampled);
  SitesOfSoManyInASecond(is_sampled);
  EachIsTold();
  DetachesAndEnds();
  ThrowsAndNests();
  OnlySoMany();
  RequireBooksMatchPages();
}
