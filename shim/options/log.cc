#include "shim/options/log.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>

#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/format_text.h"
#include "shim/base/message.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr const char* kLevelNames[] = {"debug", "info", "warn", "error"};

char g_file[sizeof(Options::log_file)];
LogLevel g_level = LogLevel::kInfo;

long OpenFile() {
  return os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(g_file),
                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
}

// UTC, without libc's lock around time zones.
int FormatTime(char* text, size_t text_bytes) {
  struct timespec now = {};
  clock_gettime(CLOCK_REALTIME, &now);
  const long seconds = static_cast<long>(now.tv_sec);
  const int in_day = static_cast<int>(seconds % 86400);
  // Days of years that begin in March: the leap day is the last.
  const long days = seconds / 86400 + 719468;
  const long era = days / 146097;
  const int day_of_era = static_cast<int>(days % 146097);
  const int year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int month_from_march = (5 * day_of_year + 2) / 153;
  const int day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const long year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  return FormatText(text, text_bytes, "%04ld-%02d-%02dT%02d:%02d:%02d.%03ldZ", year, month, day,
                    in_day / 3600, in_day / 60 % 60, in_day % 60, now.tv_nsec / 1000000);
}

// In one call, so that lines of several threads stay whole, without a copy of the text.
void WriteLine(char* head, size_t head_bytes, const char* text) {
  char newline = '\n';
  const struct iovec pieces[] = {
      {head, head_bytes}, {const_cast<char*>(text), strlen(text)}, {&newline, 1}};
  const long fd = OpenFile();
  if (os::Failed(fd)) return;
  os::Call(SYS_writev, fd, reinterpret_cast<long>(pieces), 3);
  os::Call(SYS_close, fd);
}

class FileLog final : public MemoryLog {
 public:
  bool Wants(LogLevel level) const override {
    return g_file[0] != '\0' && level >= g_level && !os::IsSealed();
  }

  void Write(LogLevel level, const char* text) override {
    if (!Wants(level)) return;
    const ErrnoKeeper keeper;
    char head[96];
    size_t used = static_cast<size_t>(FormatTime(head, sizeof(head)));
    used += static_cast<size_t>(FormatText(head + used, sizeof(head) - used, " %d.%d %s ",
                                           os::ProcessId(), os::ThreadId(),
                                           kLevelNames[static_cast<int>(level)]));
    if (used > sizeof(head) - 1) used = sizeof(head) - 1;
    WriteLine(head, used, text);
  }
};

constinit FileLog g_log;

}  // namespace

void OpenLog(const Options& options) {
  g_level = options.log_level;
  if (options.log_file[0] == '\0') return;
  FormatText(g_file, sizeof(g_file), "%s", options.log_file);
  const long fd = OpenFile();
  if (os::Failed(fd)) {
    Message("cannot write the log %s: %s; nothing is logged", g_file,
            strerrordesc_np(static_cast<int>(-fd)));
    g_file[0] = '\0';
    return;
  }
  os::Call(SYS_close, fd);
}

MemoryLog* Log() { return &g_log; }

}  // namespace taskmem
