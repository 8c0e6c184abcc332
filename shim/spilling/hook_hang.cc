#include "shim/spilling/hook_hang.h"

#include <linux/futex.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "accounting/base/format_text.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/task_registry.h"
#include "shim/books/task_text.h"
#include "shim/options/log.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// "thread 4711 (python3)".
class ThreadText {
 public:
  explicit ThreadText(int thread) {
    char path[64];
    FormatText(path, sizeof(path), "/proc/self/task/%d/comm", thread);
    char name[32];
    long length = os::ReadFile(path, name, sizeof(name));
    is_there_ = length > 0;
    while (length > 0 && name[length - 1] == '\n') name[--length] = '\0';
    if (is_there_) {
      FormatText(text_, sizeof(text_), "thread %d (%s)", thread, name);
    } else {
      FormatText(text_, sizeof(text_), "thread %d", thread);
    }
  }
  const char* c_str() const { return text_; }
  bool IsThere() const { return is_there_; }

 private:
  bool is_there_;
  char text_[64];
};

// The beginning of glibc's mutexes.
struct MutexWords {
  int state;
  unsigned count;
  int owner;
};

// The id of the thread that holds the mutex for which `thread` waits. 0: it does not wait for a
// mutex, or that cannot be known.
int HolderOfAwaitedMutex(int thread) {
  // A filter may kill for reading what is another's or gone.
  if (os::IsFiltered()) return 0;
  char path[64];
  FormatText(path, sizeof(path), "/proc/self/task/%d/syscall", thread);
  // "202 0x7ffc12345678 0x80 0x2 ...": number and arguments.
  char text[256];
  if (os::ReadFile(path, text, sizeof(text)) <= 0) return 0;
  char* at = text;
  if (strtol(at, &at, 10) != SYS_futex) return 0;
  const uint64_t address = strtoul(at, &at, 16);
  const uint64_t operation = strtoul(at, &at, 16) & FUTEX_CMD_MASK;
  if (operation != FUTEX_WAIT && operation != FUTEX_WAIT_BITSET && operation != FUTEX_LOCK_PI) {
    return 0;
  }
  MutexWords words = {};
  const struct iovec here = {&words, sizeof(words)};
  const struct iovec there = {reinterpret_cast<void*>(address), sizeof(words)};
  const long got = os::Call(SYS_process_vm_readv, os::ProcessId(), reinterpret_cast<long>(&here), 1,
                            reinterpret_cast<long>(&there), 1, 0);
  if (got != sizeof(words) || words.state == 0 || words.owner <= 0) return 0;
  // Other things are waited for by such a word, too.
  return ThreadText(words.owner).IsThere() ? words.owner : 0;
}

}  // namespace

void TellOfHang(const HookHang& hang) {
  const bool is_logged = Log()->Wants(LogLevel::kWarn);
  static std::atomic<bool> has_said{false};
  if (!is_logged && has_said.load(std::memory_order_relaxed)) return;
  const int holder = HolderOfAwaitedMutex(hang.hook_thread);
  const bool is_own = hang.is_on_allocating_thread && holder == hang.hook_thread;
  if (!is_logged && !is_own) return;

  const ThreadText hook_thread(hang.hook_thread);
  char lock[128] = "";
  if (holder == hang.hook_thread) {
    FormatText(lock, sizeof(lock), ", and waits for a lock that this thread holds");
  } else if (holder != 0) {
    FormatText(lock, sizeof(lock), ", and waits for a lock that %s holds",
               ThreadText(holder).c_str());
  }
  char waiting[128] = "";
  if (hang.waiting_thread != 0) {
    FormatText(waiting, sizeof(waiting), "; %s, which allocates, has waited for it",
               ThreadText(hang.waiting_thread).c_str());
  } else if (hang.is_on_allocating_thread) {
    FormatText(waiting, sizeof(waiting), "; the allocation is the same thread's");
  }
  const long tenths = static_cast<long>(hang.running_ns / 100'000'000);
  char text[512];
  FormatText(text, sizeof(text), "hook %s of %s has not returned for %ld.%ld s: it runs %s %s%s%s",
             hang.name[0] != '\0' ? hang.name : "(no name)",
             TaskText(g_books[static_cast<uint32_t>(hang.task)]).c_str(), tenths / 10, tenths % 10,
             hang.is_on_allocating_thread ? "inside an allocation of" : "on", hook_thread.c_str(),
             lock, waiting);
  if (is_logged) {
    LogText(Log(), LogLevel::kWarn, text);
  } else if (!has_said.exchange(true)) {
    Message("%s", text);
  }
}

}  // namespace taskmem
