#include "tools/cli/record_command.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "shim/options/options.h"
#include "shim/options/value_text.h"
#include "tools/base/child_process.h"
#include "tools/base/message.h"
#include "tools/base/units.h"
#include "tools/cli/environment_options.h"
#include "tools/recording/frame_writer.h"
#include "tools/recording/recorder.h"
#include "tools/stats/process_books.h"
#include "tools/stats/stats_dirs.h"

namespace taskmem {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t NowNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                               std::chrono::nanoseconds(1));
}

// UINT64_MAX: no end is set.
uint64_t DurationNs(const std::string& text) {
  if (text.empty()) return UINT64_MAX;
  int64_t ns = 0;
  if (!ParseDuration(text.c_str(), &ns) || ns <= 0) {
    Fatal(kExitUsage, "bad value '{}' for --for: expected a time above 0, like 10s or 2m",
          Printable(text, 40));
  }
  return static_cast<uint64_t>(ns);
}

// What the user ends it by is waited for, not suffered.
sigset_t BlockEndings() {
  sigset_t endings;
  sigemptyset(&endings);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&endings, number);
  sigprocmask(SIG_BLOCK, &endings, nullptr);
  return endings;
}

// True: one came.
bool WaitForEnding(const sigset_t& endings, uint64_t ns) {
  const timespec wait = {static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
  return sigtimedwait(&endings, nullptr, &wait) > 0;
}

// The program that the process executed in place of the one that was recorded, once it has books.
void Follow(Recorder* recorder, pid_t pid, const std::vector<std::string>& stats_dirs) {
  const auto books = ReadProcessBooks(stats_dirs, pid);
  if (!books) return;
  recorder->Detach(EndReason::kExecuted);
  recorder->Attach(pid, books->path);
}

// Until the process ends, or it is enough.
EndReason Record(Recorder* recorder, pid_t pid, const std::vector<std::string>& stats_dirs,
                 uint64_t duration_ns) {
  constexpr uint64_t kMostWaitNs = 100'000'000;
  const sigset_t endings = BlockEndings();
  const uint64_t start = NowNs();
  while (recorder->error().empty()) {
    const uint64_t wait_ns = std::min(recorder->Look(), kMostWaitNs);
    if (recorder->HasEnded()) {
      if (!recorder->IsProcessAlive()) return EndReason::kEnded;
      Follow(recorder, pid, stats_dirs);
    }
    const uint64_t passed = NowNs() - start;
    if (passed >= duration_ns) return EndReason::kStopped;
    if (WaitForEnding(endings, std::min(wait_ns, duration_ns - passed))) {
      return EndReason::kStopped;
    }
  }
  return EndReason::kUnknown;
}

}  // namespace

int RecordCommand(const RecordRequest& request) {
  const uint64_t duration_ns = DurationNs(request.duration);
  const std::string file =
      request.file.empty() ? fmt::format("taskmem-{}.recording", request.pid) : request.file;
  const Options options = OptionsOfReaderOrFail();
  const std::vector<std::string> stats_dirs = ReadableStatsDirs(options);
  const auto books = ReadProcessBooks(stats_dirs, request.pid);
  if (!books) Fatal(EXIT_FAILURE, "no process {} under taskmem", request.pid);
  const std::string why_not = WhyNotRecorded(file);
  if (!why_not.empty()) Fatal(kExitUsage, "cannot record into {}: {}", file, why_not);
  IgnoreOutputSignals();
  Recorder recorder(file);
  if (recorder.error().empty() && !recorder.Attach(request.pid, books->path)) {
    Fatal(EXIT_FAILURE, "cannot read the books of process {}: be its owner or root", request.pid);
  }
  const EndReason end = Record(&recorder, request.pid, stats_dirs, duration_ns);
  recorder.Detach(end);
  if (!recorder.error().empty()) {
    Fatal(EXIT_FAILURE, "cannot record into {}: {}", file, recorder.error());
  }
  Say("recorded {:.1f} s, {}: taskmem report {}",
      static_cast<double>(recorder.recorded_ns()) / static_cast<double>(kSecond),
      HumanBytes(recorder.file_bytes()), file);
  return EXIT_SUCCESS;
}

}  // namespace taskmem
