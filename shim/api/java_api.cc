// The API's Java face, io.taskmem.Native (tools/spark): a static JNI library. The JVM looks for
// JNI_OnLoad_taskmem among the symbols of the process before it looks for a file, so that
// System.loadLibrary("taskmem") needs no path and no second library. Java code is called from
// java_spilling.cc alone.
#define TASKMEM_IMPLEMENTATION
#include <atomic>
#include <cstdint>
#include <cstring>

#include "accounting/base/format_text.h"
#include "shim/api/java_spilling.h"
#include "shim/api/jni_table.h"
#include "shim/api/sites_text.h"
#include "shim/books/slack.h"
#include "shim/taskmem.h"

namespace taskmem {
namespace {

// --- What the last refusal of a task was. Kept for Java, which asks after the allocation has
// failed: from inside of it nothing of Java may be called.

struct LastRefusal {
  std::atomic<uint32_t> is_busy;
  uint64_t task;
  char text[1024];  // empty: there was none
};

// By the last digits of their ids. Who comes to a place that another thread is at leaves it.
constexpr uint64_t kPlaces = 64;
constinit LastRefusal g_last_refusals[kPlaces] = {};

template <typename Act>
void AtPlaceOf(uint64_t task, Act act) {
  LastRefusal& place = g_last_refusals[task % kPlaces];
  if (place.is_busy.exchange(1, std::memory_order_acquire) != 0) return;
  act(place);
  place.is_busy.store(0, std::memory_order_release);
}

void NoteRefusal(void*, const taskmem_refusal* refusal) {
  AtPlaceOf(refusal->task, [&](LastRefusal& place) {
    place.task = refusal->task;
    FormatText(place.text, sizeof(place.text), "%s", refusal->text);
  });
}

// --- The methods of io.taskmem.Native. Each returns 0 or minus an errno value, unless it says so.

using Environment = jni::Environment;
using Class = jni::Object;

// Begins a task, unless it is live already, with this quota (0: the default of the process), and
// attaches the thread to it. Returns the id it worked for before; TASKMEM_UNTRACKED is -1, and
// errors are less than -1000.
int64_t Attach(Environment* environment, Class, int64_t id, jni::Object name, int64_t quota) {
  constexpr int64_t kErrors = -1000;
  constexpr int kMostCharacters = 47;
  char text[kMostCharacters * 3 + 1] = {};
  if (name != nullptr) jni::ReadString(environment, name, kMostCharacters, text);
  const taskmem_options options = {sizeof(options), static_cast<uint64_t>(quota), text};
  const auto task = static_cast<uint64_t>(id);
  int error = taskmem_task_begin(task, &options);
  if (error == 0) {
    AtPlaceOf(task, [](LastRefusal& place) { place.text[0] = '\0'; });
  } else if (error != EEXIST) {
    return kErrors - error;
  }
  uint64_t previous = TASKMEM_UNTRACKED;
  error = taskmem_thread_attach(task, &previous);
  return error == 0 ? static_cast<int64_t>(previous) : kErrors - error;
}

// To a live task, or to none (-1); where the task has ended, to none.
void AttachBack(Environment*, Class, int64_t id) {
  if (taskmem_thread_attach(static_cast<uint64_t>(id), nullptr) != 0) taskmem_thread_detach();
}

int64_t CurrentTask(Environment*, Class) {
  uint64_t id = TASKMEM_UNTRACKED;
  taskmem_thread_task(&id);
  return static_cast<int64_t>(id);
}

int32_t EndTask(Environment*, Class, int64_t id) {
  return -taskmem_task_end(static_cast<uint64_t>(id), nullptr);
}

int32_t SetQuota(Environment*, Class, int64_t id, int64_t bytes) {
  return -taskmem_task_set_quota(static_cast<uint64_t>(id), static_cast<uint64_t>(bytes));
}

template <size_t kCount>
void Fill(Environment* environment, jni::Object to, const uint64_t (&figures)[kCount]) {
  int64_t values[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    values[i] = figures[i] > INT64_MAX ? INT64_MAX : static_cast<int64_t>(figures[i]);
  }
  const int room = jni::ArrayLength(environment, to);
  jni::SetLongs(environment, to, room < static_cast<int>(kCount) ? room : static_cast<int>(kCount),
                values);
}

// Charged, its peak, quota, overdraft, refusals, overflow, its peak, threads, and the state.
int32_t TaskInfo(Environment* environment, Class, int64_t id, jni::Object to) {
  taskmem_task_status status = {};
  status.size = sizeof(status);
  const int error = taskmem_task_info(static_cast<uint64_t>(id), &status);
  if (error != 0) return -error;
  Fill(environment, to,
       {status.usage.charged_bytes, status.usage.peak_charged_bytes, status.usage.quota_bytes,
        status.usage.overdraft_bytes, status.usage.refusals, status.overflow_bytes,
        status.peak_overflow_bytes, status.usage.threads, status.state});
  return 0;
}

// Of the process: charged to live tasks, retained by ended ones, of no task, refusals, in the
// overflow file, live tasks, resident, free in the allocator.
int32_t ProcessInfo(Environment* environment, Class, jni::Object to) {
  taskmem_process_status process = {};
  process.size = sizeof(process);
  const int error = taskmem_process_info(&process);
  if (error != 0) return -error;
  uint64_t live_bytes = 0;
  uint64_t retained_bytes = 0;
  uint64_t overflow_bytes = 0;
  uint64_t live_tasks = 0;
  uint64_t cursor = 0;
  taskmem_task_status status = {};
  status.size = sizeof(status);
  while (taskmem_tasks_next(&cursor, &status) == 0) {
    const bool is_live = status.state == TASKMEM_TASK_LIVE;
    (is_live ? live_bytes : retained_bytes) += status.usage.charged_bytes;
    live_tasks += is_live ? 1 : 0;
    overflow_bytes += status.overflow_bytes;
  }
  if (taskmem_task_info(TASKMEM_ENDED_TASKS, &status) == 0) {
    retained_bytes += status.usage.charged_bytes;
  }
  Fill(environment, to,
       {live_bytes, retained_bytes, process.untracked_bytes, process.refusals, overflow_bytes,
        live_tasks, process.resident_bytes, process.slack_bytes});
  return 0;
}

int32_t SetLabel(Environment* environment, Class, jni::Object label) {
  constexpr int kMostCharacters = 63;
  char text[kMostCharacters * 3 + 1] = {};
  if (label == nullptr) return -EINVAL;
  jni::ReadString(environment, label, kMostCharacters, text);
  return -taskmem_set_label(text);
}

void GiveBackSlack(Environment*, Class) { GiveSlackBack(); }

// From now on the last refusal of each task is kept.
int32_t KeepRefusals(Environment*, Class) { return -taskmem_on_refusal(NoteRefusal, nullptr); }

// The text of the task's last refusal, once; null: there was none.
jni::Object TakeRefusal(Environment* environment, Class, int64_t id) {
  char text[sizeof(LastRefusal::text)] = {};
  AtPlaceOf(static_cast<uint64_t>(id), [&](LastRefusal& place) {
    if (place.task != static_cast<uint64_t>(id)) return;
    memcpy(text, place.text, sizeof(text));
    place.text[0] = '\0';
  });
  if (text[0] == '\0') return nullptr;
  // A name that was cut may end within a character.
  for (char& c : text) {
    if (static_cast<signed char>(c) < 0) c = '?';
  }
  return jni::NewString(environment, text);
}

// The code that holds most of the newest task of this id, live or ended; null: nothing is known.
jni::Object LargestSites(Environment* environment, Class, int64_t id) {
  SitesText* const made = MakeSitesTextOfTask(static_cast<uint64_t>(id));
  if (made == nullptr) return nullptr;
  char text[sizeof(made->text)];
  memcpy(text, made->text, sizeof(text));
  FreeSitesText(made);
  return jni::NewString(environment, text);
}

// Of this library: a class of another version may declare others.
jni::MethodNames g_method_names;

jni::Object Methods(Environment* environment, Class) {
  return jni::NewString(environment, g_method_names.text);
}

jni::Object Version(Environment* environment, Class) {
  return jni::NewString(environment, taskmem_version());
}

}  // namespace
}  // namespace taskmem

using namespace taskmem;

extern "C" __attribute__((visibility("default"))) int JNI_OnLoad_taskmem(void* machine, void*) {
  const jni::NativeMethod methods[] = {
      jni::MethodOf("attach", "(JLjava/lang/String;J)J", Attach),
      jni::MethodOf("attachBack", "(J)V", AttachBack),
      jni::MethodOf("currentTask", "()J", CurrentTask),
      jni::MethodOf("endTask", "(J)I", EndTask),
      jni::MethodOf("setQuota", "(JJ)I", SetQuota),
      jni::MethodOf("taskInfo", "(J[J)I", TaskInfo),
      jni::MethodOf("processInfo", "([J)I", ProcessInfo),
      jni::MethodOf("setLabel", "(Ljava/lang/String;)I", SetLabel),
      jni::MethodOf("giveBackSlack", "()V", GiveBackSlack),
      jni::MethodOf("keepRefusals", "()I", KeepRefusals),
      jni::MethodOf("takeRefusal", "(J)Ljava/lang/String;", TakeRefusal),
      jni::MethodOf("largestSites", "(J)Ljava/lang/String;", LargestSites),
      jni::MethodOf("version", "()Ljava/lang/String;", Version),
      jni::MethodOf("methods", "()Ljava/lang/String;", Methods),
  };
  jni::Environment* environment = nullptr;
  if (jni::GetEnvironment(machine, &environment, jni::kVersion1_8) != jni::kOk) return jni::kError;
  // By the class loader of whoever loads the library.
  const jni::Object java_class = jni::FindClass(environment, "io/taskmem/Native");
  if (java_class == nullptr) return jni::kError;
  constexpr int kCount = sizeof(methods) / sizeof(methods[0]);
  g_method_names = {};
  jni::RegisterNatives(environment, java_class, methods, kCount, &g_method_names);
  RegisterSpillingNatives(environment, java_class, &g_method_names);
  return jni::kVersion1_8;
}
