// Pins of a task go when it ends; those of no task stay until they are released, whoever does.
#include <thread>

#include "tests/programs/support/blocks.h"

int main() {
  REQUIRE_COMPARE(PutPattern("rdd_1_1", 1000), ==, 0);
  REQUIRE_COMPARE(PutPattern("rdd_1_2", 1000), ==, 0);
  Begin(kTask, TASKMEM_NO_QUOTA, "leaky");
  Attach(kTask);
  taskmem_block first = Get("rdd_1_1");
  const taskmem_block again = Get("rdd_1_1");
  taskmem_block second = Get("rdd_1_2");
  std::thread([again] { Release(again); }).join();
  Detach();
  taskmem_block own = Get("rdd_1_2");
  REQUIRE_COMPARE(Info("rdd_1_1").pins, ==, 1);
  REQUIRE_COMPARE(Info("rdd_1_2").pins, ==, 2);
  End(kTask);
  REQUIRE_COMPARE(Info("rdd_1_1").pins, ==, 0);
  REQUIRE_COMPARE(Info("rdd_1_2").pins, ==, 1);
  REQUIRE_COMPARE(taskmem_block_release(&first), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_release(&second), ==, EINVAL);

  // A task of the same id is another one.
  Begin(kTask);
  Attach(kTask);
  taskmem_block later = Get("rdd_1_1");
  REQUIRE_COMPARE(taskmem_block_release(&first), ==, EINVAL);
  REQUIRE_COMPARE(Info("rdd_1_1").pins, ==, 1);
  REQUIRE_COMPARE(taskmem_block_release(&later), ==, 0);
  End(kTask);

  REQUIRE_COMPARE(taskmem_block_remove("rdd_1_1"), ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("rdd_1_2"), ==, EBUSY);
  std::thread([&own] { REQUIRE_COMPARE(taskmem_block_release(&own), ==, 0); }).join();
  REQUIRE_COMPARE(taskmem_block_remove("rdd_1_2"), ==, 0);
  return 0;
}
