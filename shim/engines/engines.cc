#include "shim/engines/engines.h"

#include <dlfcn.h>

#include "accounting/base/base_name.h"
#include "accounting/base/debug.h"
#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "shim/adopt/allocators.h"
#include "shim/engines/adapter.h"
#include "shim/options/log.h"
#include "shim/tasks/pool_threads.h"

namespace taskmem {
namespace {

const EngineAdapter* const kAdapters[] = {&kDuckDbAdapter, &kArrowAdapter};
constexpr char kHasAnother[] = "there is another of its kind";

// A library that an adapter was tried on: once for each time that it is loaded, whatever others
// have its name.
struct Attempt {
  const EngineAdapter* adapter;
  const link_map* library;
  const void* dynamic;
  const char* why_not;  // nullptr: it is attached
  WordChange mark;      // by which that is seen
};

// Guards what follows.
constinit Mutex g_mutex;
constexpr size_t kMostAttempts = 64;  // those beyond are left as they are, in silence
Attempt g_attempts[kMostAttempts] = {};
size_t g_attempt_count = 0;

bool IsLoaded(const Attempt& attempt) {
  dl_find_object found;
  return _dl_find_object(const_cast<void*>(attempt.dynamic), &found) == 0 &&
         found.dlfo_link_map == attempt.library;
}

void ForgetUnloaded() {
  size_t kept = 0;
  for (size_t i = 0; i < g_attempt_count; ++i) {
    if (IsLoaded(g_attempts[i])) g_attempts[kept++] = g_attempts[i];
  }
  g_attempt_count = kept;
}

// Another library may have come to the place of one that was attached.
bool IsStillAttached(const Attempt& attempt) {
  dl_find_object found;
  return _dl_find_object(attempt.mark.place, &found) == 0 &&
         found.dlfo_link_map == attempt.library && *attempt.mark.place == attempt.mark.value;
}

Attempt* Find(const link_map& library) {
  for (size_t i = 0; i < g_attempt_count; ++i) {
    Attempt& attempt = g_attempts[i];
    if (attempt.library == &library && attempt.dynamic == library.l_ld) return &attempt;
  }
  return nullptr;
}

bool HasAnother(const EngineAdapter& adapter, const link_map& library) {
  for (size_t i = 0; i < g_attempt_count; ++i) {
    const Attempt& attempt = g_attempts[i];
    if (attempt.adapter == &adapter && attempt.why_not == nullptr && attempt.library != &library) {
      return true;
    }
  }
  return false;
}

// Tries the adapter on the library where that has not been done. False: there is nothing to say.
bool TryOn(const EngineAdapter& adapter, const link_map& library, const char** why_not) {
  const MutexLock lock(g_mutex);
  TASKMEM_DELAY_POINT(attach_engine);
  ForgetUnloaded();
  Attempt* attempt = Find(library);
  // One library for each: another copy of the engine has its own functions.
  const bool has_another = HasAnother(adapter, library);
  if (attempt == nullptr) {
    if (g_attempt_count == kMostAttempts) return false;
    attempt = &g_attempts[g_attempt_count++];
  } else if (attempt->why_not == nullptr) {
    if (IsStillAttached(*attempt)) return false;
  } else if (attempt->why_not != kHasAnother || has_another) {
    return false;
  }
  WordChange mark = {};
  *why_not = has_another ? kHasAnother : adapter.attach(library, &mark);
  *attempt = {&adapter, &library, library.l_ld, *why_not, mark};
  return true;
}

void AttachTo(const link_map& library) {
  // A handler that makes a thread may have interrupted its own here.
  if (library.l_name == nullptr || g_mutex.IsHeldByThisThread()) return;
  const char* const base = BaseName(library.l_name);
  for (const EngineAdapter* adapter : kAdapters) {
    if (!adapter->is_for(base)) continue;
    const char* why_not;
    if (!TryOn(*adapter, library, &why_not)) return;
    if (why_not == nullptr) {
      NotePoolOf(base, "the query's task");
      LogLine(Log(), LogLevel::kInfo, "%s: its pool's threads work for the query's task (%s)", base,
              adapter->engine);
    } else {
      NotePoolOf(base, "the sole active task");
      LogLine(Log(), LogLevel::kWarn, "%s: its pool's threads work for the sole active task: %s",
              base, why_not);
    }
    return;
  }
}

}  // namespace

void OpenEngines(const Options& options) {
  if (options.pool_threads != PoolThreads::kSole) return;
  OnPoolThread(AttachTo);
}

void ForgetUnloadedEngines() {
  // A handler may have interrupted its thread here.
  if (g_mutex.IsHeldByThisThread()) return;
  const MutexLock lock(g_mutex);
  ForgetUnloaded();
}

void AddEngineLocks(ForkLocks* locks) { locks->Add(g_mutex); }

}  // namespace taskmem
