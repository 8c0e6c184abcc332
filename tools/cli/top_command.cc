#include "tools/cli/top_command.h"

#include <fmt/chrono.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <utility>

#include "accounting/base/monotonic_ns.h"
#include "shim/options/options.h"
#include "shim/options/value_text.h"
#include "tools/audit/audit.h"
#include "tools/base/message.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/cli/environment_options.h"
#include "tools/control/process_control.h"
#include "tools/remote/reclaim_tables.h"
#include "tools/stats/process_books.h"
#include "tools/stats/stats_dirs.h"
#include "tools/stats/stats_files.h"
#include "tools/top/terminal_screen.h"
#include "tools/top/top_viewer.h"

namespace taskmem {
namespace {

constexpr int64_t kIntervalNs = 1'000'000'000;
constexpr int64_t kLeastIntervalNs = 100'000'000;
constexpr size_t kWordColumns = 40;

constexpr std::pair<const char*, TopColumn> kSortColumns[] = {
    {"pid", TopColumn::kPid},         {"task", TopColumn::kTask},
    {"name", TopColumn::kName},       {"held", TopColumn::kHeld},
    {"quota", TopColumn::kShare},     {"peak", TopColumn::kPeak},
    {"growth", TopColumn::kGrowth},   {"refused", TopColumn::kRefused},
    {"spilled", TopColumn::kSpilled}, {"overflow", TopColumn::kOverflow},
    {"stalled", TopColumn::kStalled}};

uint64_t NowNs() { return static_cast<uint64_t>(MonotonicNs()); }

std::string TimeOfDay() { return fmt::format("{:%H:%M:%S}", fmt::localtime(time(nullptr))); }

int64_t IntervalOf(const TopRequest& request) {
  if (request.interval.empty()) return kIntervalNs;
  int64_t ns = 0;
  constexpr int64_t kMostNs = 3600 * kIntervalNs;
  if (ParseDuration(request.interval.c_str(), &ns) && ns >= kLeastIntervalNs && ns <= kMostNs) {
    return ns;
  }
  Fatal(kExitUsage,
        "bad value '{}' for --interval: expected a time from 100ms to an hour, such as 2s",
        Printable(request.interval, kWordColumns));
}

TopColumn ColumnOf(const TopRequest& request) {
  if (request.sort.empty()) return TopColumn::kHeld;
  std::string names;
  for (const auto& [name, column] : kSortColumns) {
    if (request.sort == name) return column;
    names += names.empty() ? name : std::string(", ") + name;
  }
  Fatal(kExitUsage, "bad value '{}' for --sort: expected one of {}",
        Printable(request.sort, kWordColumns), names);
}

class Actions final : public TopActions {
 public:
  explicit Actions(std::vector<std::string> dirs) : dirs_(std::move(dirs)) {}

  std::string Ask(pid_t pid, const Change& change) override {
    std::string error;
    const auto process = ProcessControl::Open(dirs_, pid, &error);
    return process != nullptr ? DescribeChange(change, process->Ask(change), pid) : error;
  }
  std::optional<Audit> TakeAudit(pid_t pid, std::string* error) override {
    const auto books = ReadProcessBooks(dirs_, pid);
    if (books) return taskmem::TakeAudit(*books, error);
    *error = fmt::format("no process {} under taskmem", pid);
    return std::nullopt;
  }
  ReclaimTables ReadTables(pid_t pid) override {
    const auto books = ReadProcessBooks(dirs_, pid);
    return books ? ReadReclaimTables(RemoteMemory(pid), books->reclaim_layout) : ReclaimTables();
  }

 private:
  const std::vector<std::string> dirs_;
};

void Look(LiveBooks* books, TopViewer* viewer) {
  viewer->model().Update(books->Read(), NowNs());
  viewer->view().time = TimeOfDay();
}

// As large as the terminal; without one all there is.
void PrintOnce(TopViewer* viewer) {
  ScreenSize size = {TerminalColumns(STDOUT_FILENO), 24};
  winsize window = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row != 0) {
    size.lines = window.ws_row;
  } else {
    viewer->view().shows_all_rows = true;
  }
  viewer->Settle(size);
  std::vector<ScreenLine> lines = viewer->Draw(size);
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  PrintOrFail(PlainText(lines));
}

void Watch(const TopRequest& request, int64_t interval_ns, LiveBooks* books, TopViewer* viewer,
           TerminalScreen* screen) {
  uint64_t next_ns = NowNs() + static_cast<uint64_t>(interval_ns);
  for (;;) {
    viewer->Settle(screen->size());
    screen->Draw(viewer->Draw(screen->size()));
    const uint64_t now = NowNs();
    const uint64_t left = next_ns > now ? next_ns - now : 0;
    const auto press = screen->AwaitKey(static_cast<int>((left + 999'999) / 1'000'000));
    if (screen->must_end()) return;
    if (press && !viewer->Press(*press, screen->size())) return;
    if (NowNs() < next_ns) continue;
    next_ns = NowNs() + static_cast<uint64_t>(interval_ns);
    if (viewer->view().is_paused) continue;
    Look(books, viewer);
    if (request.pid && viewer->model().processes().empty()) {
      viewer->view().message = fmt::format("process {} has ended", *request.pid);
    }
  }
}

}  // namespace

int TopCommand(const TopRequest& request) {
  if (request.pid && *request.pid <= 0) {
    Fatal(kExitUsage, "bad value '{}' for PID: expected a process", *request.pid);
  }
  const int64_t interval_ns = IntervalOf(request);
  const TopColumn column = ColumnOf(request);
  const Options options = OptionsOfReaderOrFail();
  LiveBooks books(options, request.pid);
  Actions actions(ReadableStatsDirs(options));
  TopViewer viewer(&actions);
  viewer.view().is_utf8 = UseLocaleOfUser();
  viewer.model().SortBy(column);
  viewer.model().Filter(request.filter);
  Look(&books, &viewer);
  if (request.pid && viewer.model().processes().empty()) {
    Fatal(EXIT_FAILURE, "no process {} under taskmem", *request.pid);
  }
  if (request.once) {
    PrintOnce(&viewer);
    return EXIT_SUCCESS;
  }
  std::string error;
  {
    const auto screen = TerminalScreen::Open(&error);
    if (screen != nullptr) {
      Watch(request, interval_ns, &books, &viewer, screen.get());
      return EXIT_SUCCESS;
    }
  }
  Fatal(EXIT_FAILURE, "{}", error);
}

}  // namespace taskmem
