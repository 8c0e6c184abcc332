#include "tools/top/top_viewer.h"

#include <fmt/format.h>

#include <algorithm>

#include "shim/options/options.h"
#include "shim/options/value_text.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

constexpr size_t kMostTyped = 40;

}  // namespace

void TopViewer::Settle(ScreenSize size) {
  const std::vector<TopTask>& rows = model_.rows();
  if (rows.empty()) {
    view_.selected.reset();
    row_ = view_.first_row = 0;
    return;
  }
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [&](const TopTask& task) { return view_.selected == task.key; });
  if (found != rows.end()) {
    row_ = static_cast<size_t>(found - rows.begin());
  } else {
    // The one that took its place, but where it alone is looked at.
    row_ = std::min(row_, rows.size() - 1);
    if (!view_.shows_task) view_.selected = rows[row_].key;
  }
  const size_t room = RowsOnScreen(size);
  if (row_ < view_.first_row) view_.first_row = row_;
  if (row_ >= view_.first_row + room) view_.first_row = row_ - room + 1;
  if (rows.size() <= room) view_.first_row = 0;
}

void TopViewer::Move(long by) {
  const std::vector<TopTask>& rows = model_.rows();
  if (rows.empty()) return;
  const long last = static_cast<long>(rows.size()) - 1;
  row_ = static_cast<size_t>(std::clamp<long>(static_cast<long>(row_) + by, 0, last));
  view_.selected = rows[row_].key;
  view_.first_task_line = 0;
  ForgetAudit();
}

void TopViewer::Page(long pages, ScreenSize size) {
  const auto rows = static_cast<long>(RowsOnScreen(size));
  if (!view_.shows_task) return Move(pages * rows);
  const auto last = static_cast<long>(LastTaskPage(model_, view_, size));
  const long first = std::min(static_cast<long>(view_.first_task_line), last) + pages * rows;
  view_.first_task_line = static_cast<size_t>(std::clamp<long>(first, 0, last));
}

void TopViewer::SortByNeighbour(long by) {
  constexpr long kColumns = kTopColumns;
  const long column = (static_cast<long>(model_.sort_column()) + by + kColumns) % kColumns;
  model_.SortBy(static_cast<TopColumn>(column));
}

void TopViewer::BeginInput(Input input) {
  if (input != Input::kFilter && (!view_.selected || view_.selected->id >= TASKMEM_ENDED_TASKS)) {
    view_.message = "this is no task: nothing can be asked of it";
    return;
  }
  input_ = input;
  asked_ = view_.selected;
  typed_.clear();
  ShowInput();
}

void TopViewer::ShowInput() {
  const std::string task = asked_ ? "task " + TaskIdText(asked_->id) : "";
  switch (input_) {
    case Input::kNone: view_.prompt.clear(); break;
    case Input::kFilter: view_.prompt = "only what has (nothing: all): " + typed_; break;
    case Input::kQuota:
      view_.prompt = fmt::format("quota of {} (64M, none): {}", task, typed_);
      break;
    case Input::kSpill:
      view_.prompt = fmt::format("{} shall spill (nothing: all it holds): {}", task, typed_);
      break;
    case Input::kEnd:
      view_.prompt =
          fmt::format("end {} by policy, with a quota of 1 byte? (y or n) {}", task, typed_);
      break;
  }
}

void TopViewer::EndInput() {
  const Input input = input_;
  const std::string typed = typed_;
  input_ = Input::kNone;
  ShowInput();
  if (input == Input::kFilter) return model_.Filter(typed);
  // The selection has gone on to another where the task has ended meanwhile.
  if (!asked_ || model_.FindTask(*asked_) == nullptr) {
    view_.message = "the task is gone: nothing was asked";
    return;
  }
  const pid_t pid = asked_->pid;
  const uint64_t task = asked_->id;
  uint64_t bytes = 0;
  const bool is_size = ParseBytes(typed.c_str(), &bytes) && bytes != 0;
  const auto ask = [&](ChangeKind kind, uint64_t value) {
    view_.message = actions_.Ask(pid, {kind, task, value});
  };
  if (input == Input::kEnd) {
    if (typed == "y" || typed == "yes") ask(ChangeKind::kTaskQuota, 1);
  } else if (input == Input::kSpill && typed.empty()) {
    ask(ChangeKind::kTaskSpill, UINT64_MAX);
  } else if (!is_size) {
    if (!typed.empty()) view_.message = fmt::format("'{}' is no size such as 64M", typed);
  } else {
    ask(input == Input::kSpill ? ChangeKind::kTaskSpill : ChangeKind::kTaskQuota, bytes);
  }
}

void TopViewer::PressInInput(const KeyPress& press) {
  if (press.key == Key::kEnter) return EndInput();
  if (press.key == Key::kEscape) {
    input_ = Input::kNone;
  } else if (press.key == Key::kBackspace) {
    if (!typed_.empty()) typed_.pop_back();
  } else if (press.key == Key::kCharacter && press.character >= ' ' && press.character < 0x7f &&
             typed_.size() < kMostTyped) {
    typed_ += press.character;
  }
  ShowInput();
}

void TopViewer::ForgetAudit() {
  view_.sites.clear();
  view_.audit.reset();
  view_.tables = {};
}

void TopViewer::Audit() {
  if (!view_.shows_task || !view_.selected) return;
  ForgetAudit();
  std::string error;
  view_.audit = actions_.TakeAudit(view_.selected->pid, &error);
  if (view_.audit) {
    view_.sites = NameSites(*view_.audit, SIZE_MAX);
    view_.tables = actions_.ReadTables(view_.selected->pid);
  } else {
    view_.message = error;
  }
}

bool TopViewer::PressCommand(char character) {
  switch (character) {
    case 'q':
      if (!view_.shows_task) return false;
      view_.shows_task = false;
      break;
    case 'h':
    case '?': view_.shows_help = true; break;
    case 'k': Move(-1); break;
    case 'j': Move(1); break;
    case '<': SortByNeighbour(-1); break;
    case '>': SortByNeighbour(1); break;
    case 'r': model_.Reverse(); break;
    case 'p':
    case ' ': view_.is_paused = !view_.is_paused; break;
    case '/': BeginInput(Input::kFilter); break;
    case 'u': BeginInput(Input::kQuota); break;
    case 's': BeginInput(Input::kSpill); break;
    case 'e': BeginInput(Input::kEnd); break;
    case 'a': Audit(); break;
    default: break;
  }
  return true;
}

bool TopViewer::Press(const KeyPress& press, ScreenSize size) {
  view_.message.clear();
  bool goes_on = true;
  if (input_ != Input::kNone) {
    PressInInput(press);
  } else if (view_.shows_help) {
    view_.shows_help = false;
  } else {
    switch (press.key) {
      case Key::kCharacter: goes_on = PressCommand(press.character); break;
      case Key::kUp: Move(-1); break;
      case Key::kDown: Move(1); break;
      case Key::kLeft: SortByNeighbour(-1); break;
      case Key::kRight: SortByNeighbour(1); break;
      case Key::kPageUp: Page(-1, size); break;
      case Key::kPageDown: Page(1, size); break;
      case Key::kHome: Move(-static_cast<long>(model_.rows().size())); break;
      case Key::kEnd: Move(static_cast<long>(model_.rows().size())); break;
      case Key::kEnter:
        view_.shows_task = view_.selected.has_value();
        view_.first_task_line = 0;
        ForgetAudit();
        break;
      case Key::kEscape:
        if (view_.shows_task) {
          view_.shows_task = false;
        } else {
          model_.Filter("");
        }
        break;
      case Key::kBackspace: break;
    }
  }
  Settle(size);
  return goes_on;
}

}  // namespace taskmem
