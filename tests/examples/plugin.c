/* A library for --plugin: gives caching_program a spill hook without changing it. Run as
 *
 *   taskmem run --quota 16M --plugin plugin.so -- caching_program 1000
 *
 * The program's lock is taken by drop_cache(), so the hook runs on taskmem's reclaimer thread:
 * where the thread that needs memory holds that lock, it costs the timeout, not a deadlock. */
#include <dlfcn.h>
#include <string.h>

#include "shim/taskmem.h"

static size_t (*drop_cache)(void);

static uint64_t DropCache(void* context, uint64_t bytes_needed, taskmem_consumer trigger) {
  (void)context;
  (void)bytes_needed;
  (void)trigger;
  return drop_cache();
}

int taskmem_plugin_init(void) {
  *(void**)&drop_cache = dlsym(RTLD_DEFAULT, "drop_cache");
  if (drop_cache == NULL) return 0; /* another program: children inherit the plugin */
  taskmem_consumer_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.name = "the program's cache";
  options.spill = DropCache;
  options.used_bytes = UINT64_MAX; /* nobody knows how much it is */
  options.run_on = TASKMEM_RECLAIMER_THREAD;
  taskmem_consumer consumer;
  return taskmem_consumer_register(TASKMEM_CURRENT_TASK, &options, &consumer);
}
