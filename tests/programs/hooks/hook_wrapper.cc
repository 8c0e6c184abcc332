// shim/taskmem.hpp: consumers, tasks and threads with lifetimes.
#include <memory>
#include <stdexcept>
#include <vector>

#include "shim/taskmem.hpp"
#include "tests/programs/support/tasks.h"

namespace {

using taskmem::SpillConsumer;

// Gives back 1 MiB for each call, as long as there is any.
struct Cache {
  std::vector<std::unique_ptr<char[]>> blocks;
  int calls = 0;
  uint64_t Drop() {
    ++calls;
    if (blocks.empty()) return 0;
    blocks.pop_back();
    return kMiB;
  }
};

char* Take() {
  char* const block = new char[kMiB];
  Hide(block);
  return block;
}

}  // namespace

int main() {
  uint64_t before = 0;
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_UNTRACKED, &before), ==, 0);
  {
    const taskmem::TaskScope task(kTask, 8 * kMiB, "wrapped");
    REQUIRE_COMPARE(task.error(), ==, 0);
    Cache cache;
    cache.blocks.reserve(1000);
    SpillConsumer consumer([&](uint64_t, taskmem_consumer) { return cache.Drop(); });
    REQUIRE_COMPARE(consumer.error(), ==, 0);
    REQUIRE_COMPARE(consumer.Report(kMiB), ==, 0);
    for (int i = 0; i < 100; ++i) cache.blocks.emplace_back(Take());
    REQUIRE_COMPARE(cache.calls, >=, 90);
    REQUIRE_COMPARE(consumer.Unregister(), ==, 0);
    const int calls = cache.calls;
    REQUIRE(malloc(8 * kMiB) == nullptr);
    REQUIRE_COMPARE(cache.calls, ==, calls);

    // It throws, and the one after it is asked.
    SpillConsumer throwing([](uint64_t, taskmem_consumer) -> uint64_t { throw 1; });
    throwing.Report(2 * kMiB);
    SpillConsumer::Options options;
    options.name = "second";
    options.used_bytes = 8 * kMiB;
    options.run_on = TASKMEM_RECLAIMER_THREAD;
    SpillConsumer second([&](uint64_t, taskmem_consumer) { return cache.Drop(); }, options);
    for (int i = 0; i < 10; ++i) cache.blocks.emplace_back(Take());
    REQUIRE_COMPARE(std::uncaught_exceptions(), ==, 0);

    // It goes inside its own spill.
    std::unique_ptr<SpillConsumer> leaving;
    std::vector<char> captured(1000, 'x');
    leaving = std::make_unique<SpillConsumer>([&, captured](uint64_t, taskmem_consumer) {
      leaving.reset();
      REQUIRE(captured[999] == 'x');
      return cache.Drop();
    });
    leaving->Report(kMiB);
    {
      const taskmem::ConsumerScope scope(second);
      for (int i = 0; i < 3; ++i) cache.blocks.emplace_back(Take());
    }
    REQUIRE(leaving == nullptr);
  }
  REQUIRE_COMPARE(taskmem_task_end(kTask, nullptr), ==, ENOENT);
  uint64_t now = 0;
  REQUIRE_COMPARE(taskmem_thread_attach(before, &now), ==, 0);
  REQUIRE_COMPARE(now, ==, TASKMEM_UNTRACKED);
}
