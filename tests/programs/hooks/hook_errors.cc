// What the calls about consumers answer to nonsense.
#include "tests/programs/support/hooks.h"

int main() {
  const taskmem_spill_fn nothing = [](void*, uint64_t, taskmem_consumer) -> uint64_t { return 0; };
  taskmem_consumer_options options = {};
  options.size = sizeof(options);
  options.spill = nothing;
  taskmem_consumer consumer = 0;
  errno = 4711;
  REQUIRE_COMPARE(taskmem_consumer_unregister(1), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_consumer_report(1, 1), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_thread_consumer(1, nullptr), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_consumer_register(TASKMEM_UNTRACKED, &options, &consumer), ==, ENOENT);
  Begin(kTask);
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, nullptr, &consumer), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, nullptr), ==, EINVAL);
  options.size = 8;
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, EINVAL);
  options.size = sizeof(options);
  options.spill = nullptr;
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, EINVAL);
  options.spill = nothing;
  options.run_on = 2;
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, EINVAL);
  options.run_on = TASKMEM_RECLAIMER_THREAD;
  options.mode = -1;
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, EINVAL);
  options.mode = TASKMEM_ON_HEAP;
  REQUIRE_COMPARE(taskmem_consumer_register(kTask, &options, &consumer), ==, 0);
  REQUIRE_COMPARE(taskmem_consumer_report(consumer, UINT64_MAX), ==, 0);
  taskmem_consumer previous = 1;
  REQUIRE_COMPARE(taskmem_thread_consumer(consumer, &previous), ==, 0);
  REQUIRE_COMPARE(previous, ==, 0);
  REQUIRE_COMPARE(taskmem_consumer_unregister(consumer), ==, 0);
  REQUIRE_COMPARE(taskmem_consumer_unregister(consumer), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_consumer_report(consumer, 1), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_thread_consumer(0, &previous), ==, 0);
  REQUIRE_COMPARE(previous, ==, consumer);
  Detach();
  REQUIRE_COMPARE(taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &consumer), ==, ENOENT);
  Attach(kTask);
  REQUIRE_COMPARE(taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &consumer), ==, 0);
  Detach();
  End(kTask);
  REQUIRE_COMPARE(taskmem_consumer_unregister(consumer), ==, ENOENT);
  REQUIRE_COMPARE(errno, ==, 4711);
}
