/* A program without C++ whose hook comes from a library that throws. */
#include <dlfcn.h>

#include "tests/programs/support/check.h"
/**/
#include "shim/taskmem.h"

enum { kTask = 1000000000, kMiB = 1 << 20 };

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != NULL);
  taskmem_options task = {sizeof(task), 4 * kMiB, "throwing"};
  REQUIRE(taskmem_task_begin(kTask, &task) == 0);
  taskmem_consumer_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.spill = (taskmem_spill_fn)dlsym(library, "ThrowingHook");
  options.used_bytes = kMiB;
  int (*uncaught)(void) = (int (*)(void))dlsym(library, "UncaughtExceptions");
  REQUIRE(options.spill != NULL && uncaught != NULL);
  taskmem_consumer consumer = 0;
  for (int run_on = 0; run_on < 2; ++run_on) {
    options.run_on = run_on;
    REQUIRE(taskmem_consumer_register(kTask, &options, &consumer) == 0);
    REQUIRE(taskmem_thread_attach(kTask, NULL) == 0);
    for (int i = 0; i < 100; ++i) REQUIRE(malloc(5 * kMiB) == NULL);
    REQUIRE(taskmem_thread_detach() == 0);
    REQUIRE(uncaught() == 0);
    REQUIRE(taskmem_consumer_unregister(consumer) == 0);
  }
  return 0;
}
