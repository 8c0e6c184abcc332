#include "shim/tasks/thread_names.h"

#include <regex.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "accounting/base/name_hash.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/own_memory.h"
#include "shim/books/task_registry.h"
#include "shim/published/stats_segment.h"
#include "shim/taskmem.h"

namespace taskmem {
namespace {

regex_t g_regex;
const char* g_regex_text = nullptr;
uint32_t g_pid = 0;  // of the process that was started, not of its children
std::atomic<bool> g_has_matched{false};
std::atomic<bool> g_has_renamed{false};  // a name was looked at beside the first thread's first
// glibc's own lock in a regex_t would be left held in a forked child.
Mutex g_mutex;  // guards what follows
__thread bool t_matching __attribute__((tls_model("initial-exec"))) = false;

uint64_t g_last_number = 0;

struct Numbered {
  uint64_t hash;    // of the name
  uint64_t number;  // 0: the place is free
};
constexpr uint32_t kPlaces = 8192;
constexpr uint32_t kMostNames = kPlaces / 4 * 3;
Numbered* g_numbered = nullptr;  // open addressing
uint32_t g_names = 0;

// Names that stood for no task.
constexpr uint32_t kMostSeen = 4;
constexpr size_t kSeenBytes = 32;
char g_seen[kMostSeen][kSeenBytes];
uint32_t g_seen_count = 0;

uint64_t NextNumber() {
  do {
    ++g_last_number;
  } while (FindTask(g_last_number) != kUntrackedSlot);
  return g_last_number;
}

uint64_t NumberOf(const char* name) {
  if (g_numbered == nullptr) {
    g_numbered = static_cast<Numbered*>(OwnAllocate(kPlaces * sizeof(Numbered)));
    if (g_numbered == nullptr) return NextNumber();
  }
  if (g_names >= kMostNames) {
    memset(g_numbered, 0, kPlaces * sizeof(Numbered));
    g_names = 0;
  }
  const uint64_t hash = NameHash(name);
  uint32_t place = static_cast<uint32_t>(hash % kPlaces);
  for (; g_numbered[place].number != 0; place = (place + 1) % kPlaces) {
    if (g_numbered[place].hash == hash) return g_numbered[place].number;
  }
  g_numbered[place] = {hash, NextNumber()};
  ++g_names;
  return g_numbered[place].number;
}

// Whether a name has it.
bool IsOfAName(uint64_t number) {
  if (g_numbered == nullptr || number > g_last_number) return false;
  for (uint32_t place = 0; place < kPlaces; ++place) {
    if (g_numbered[place].number == number) return true;
  }
  return false;
}

// All of it, and a number that programs may choose for an id.
bool IsId(const char* text, uint64_t* id) {
  if (text[0] < '0' || text[0] > '9') return false;
  char* end = nullptr;
  *id = strtoull(text, &end, 10);
  return *end == '\0' && *id < TASKMEM_IMPLICIT_TASK;
}

void NoteUnmatched(const char* name) {
  if (g_seen_count == kMostSeen) return;
  char shown[kSeenBytes] = {};
  for (size_t i = 0; i < kSeenBytes - 1 && name[i] != '\0'; ++i) {
    shown[i] = name[i] >= ' ' && name[i] <= '~' ? name[i] : '?';
  }
  for (uint32_t i = 0; i < g_seen_count; ++i) {
    if (strcmp(g_seen[i], shown) == 0) return;
  }
  memcpy(g_seen[g_seen_count++], shown, kSeenBytes);
}

bool Match(const char* thread_name, NamedTask* task) {
  regmatch_t groups[2];
  if (regexec(&g_regex, thread_name, 2, groups, 0) != 0) {
    if (!g_has_matched.load(std::memory_order_relaxed)) NoteUnmatched(thread_name);
    return false;
  }
  g_has_matched.store(true, std::memory_order_relaxed);
  const regmatch_t& group = groups[g_regex.re_nsub > 0 && groups[1].rm_so >= 0 ? 1 : 0];
  constexpr size_t kMostBytes = 1024;
  static char text[kMostBytes];
  const size_t length = static_cast<size_t>(group.rm_eo - group.rm_so) < kMostBytes
                            ? static_cast<size_t>(group.rm_eo - group.rm_so)
                            : kMostBytes - 1;
  memcpy(text, thread_name + group.rm_so, length);
  text[length] = '\0';
  if (!IsId(text, &task->id) || IsOfAName(task->id)) task->id = NumberOf(text);
  const size_t shown = length < sizeof(task->name) ? length : sizeof(task->name) - 1;
  memcpy(task->name, text, shown);
  task->name[shown] = '\0';
  return true;
}

}  // namespace

void OpenThreadNames(const char* regex) {
  regcomp(&g_regex, regex, REG_EXTENDED);
  g_pid = g_stats->pid;
  g_regex_text = regex;
}

bool FindNamedTask(const char* thread_name, NamedTask* task) {
  static bool has_looked = false;
  t_matching = true;
  g_mutex.Lock();
  if (has_looked) g_has_renamed.store(true, std::memory_order_relaxed);
  has_looked = true;
  const bool matches = Match(thread_name, task);
  g_mutex.Unlock();
  t_matching = false;
  return matches;
}

bool IsMatchingName() { return t_matching; }

uint64_t NewTaskNumber() {
  const MutexLock lock(g_mutex);
  return NextNumber();
}

void SayIfNoNameMatched() {
  if (g_regex_text == nullptr || g_has_matched.exchange(true)) return;
  if (static_cast<uint32_t>(os::Call(SYS_getpid)) != g_pid) return;
  const long run = strtol(g_stats->session, nullptr, 10);
  const bool is_runs = run > 1 && os::Call(SYS_getppid) == run;
  if (!is_runs && !g_has_renamed.load(std::memory_order_relaxed)) return;
  char names[kMostSeen * (kSeenBytes + 4)] = {};
  for (uint32_t i = 0; i < g_seen_count; ++i) {
    strcat(names, i == 0 ? "'" : ", '");
    strcat(names, g_seen[i]);
    strcat(names, "'");
  }
  Message("no thread had a name that matches thread-name=%s; names were %s", g_regex_text, names);
}

Mutex& ThreadNamesMutex() { return g_mutex; }

}  // namespace taskmem
