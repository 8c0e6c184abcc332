#include "shim/engines/engines.h"

#include <cstring>

#include "accounting/base/mutex.h"
#include "shim/engines/adapter.h"
#include "shim/options/log.h"
#include "shim/tasks/pool_threads.h"

namespace taskmem {
namespace {

const EngineAdapter* const kAdapters[] = {&kDuckDbAdapter, &kArrowAdapter};
constexpr size_t kAdapterCount = sizeof(kAdapters) / sizeof(kAdapters[0]);

Mutex g_mutex;
// By adapter: the library it has been tried on.
const void* g_tried[kAdapterCount] = {};

void AttachTo(const link_map& library) {
  if (library.l_name == nullptr) return;
  const char* const slash = strrchr(library.l_name, '/');
  const char* const base = slash != nullptr ? slash + 1 : library.l_name;
  for (size_t i = 0; i < kAdapterCount; ++i) {
    const EngineAdapter& adapter = *kAdapters[i];
    if (!adapter.is_for(base)) continue;
    const char* why_not = nullptr;
    {
      const MutexLock lock(g_mutex);
      if (g_tried[i] == library.l_ld) return;
      // One library for each: another copy of the engine has its own functions.
      why_not = g_tried[i] != nullptr ? "there is another of its kind" : adapter.attach(library);
      if (g_tried[i] == nullptr) g_tried[i] = library.l_ld;
    }
    if (why_not == nullptr) {
      LogLine(Log(), LogLevel::kInfo, "%s: its pool's threads work for the query's task (%s)", base,
              adapter.engine);
    } else {
      LogLine(Log(), LogLevel::kWarn, "%s: its pool's threads work for the sole active task: %s",
              base, why_not);
    }
    return;
  }
}

}  // namespace

void OpenEngines(const Options& options) {
  if (options.pool_threads != PoolThreads::kSole) return;
  OnFirstPoolThread(AttachTo);
}

}  // namespace taskmem
