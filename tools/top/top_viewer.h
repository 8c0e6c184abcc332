// The viewer's keys: what each does to what is seen, and to the process that is looked at.
#ifndef TASKMEM_TOOLS_TOP_TOP_VIEWER_H_
#define TASKMEM_TOOLS_TOP_TOP_VIEWER_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "tools/control/process_control.h"
#include "tools/top/top_screen.h"

namespace taskmem {

enum class Key {
  kCharacter,
  kUp,
  kDown,
  kLeft,
  kRight,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
  kEnter,
  kEscape,
  kBackspace
};

struct KeyPress {
  Key key = Key::kCharacter;
  char character = 0;
};

// What keys do beyond the screen.
class TopActions {
 public:
  virtual ~TopActions() = default;
  // Returns what came of it, in a line.
  virtual std::string Ask(pid_t pid, const Change& change) = 0;
  // Nothing, and why in a line, where that is not possible.
  virtual std::optional<Audit> TakeAudit(pid_t pid, std::string* error) = 0;
  // Empty where that is not possible.
  virtual ReclaimTables ReadTables(pid_t pid) = 0;
};

class TopViewer {
 public:
  // `actions` must outlive it.
  explicit TopViewer(TopActions* actions) : actions_(*actions) {}

  TopModel& model() { return model_; }
  TopView& view() { return view_; }

  // After the model has changed: something is selected, if there is anything.
  void Settle(ScreenSize size);
  // False: to quit.
  bool Press(const KeyPress& press, ScreenSize size);
  std::vector<ScreenLine> Draw(ScreenSize size) const { return DrawTop(model_, view_, size); }

 private:
  // What a line of input is for.
  enum class Input { kNone, kFilter, kQuota, kSpill, kEnd };

  bool PressCommand(char character);
  void PressInInput(const KeyPress& press);
  void BeginInput(Input input);
  void ShowInput();
  void EndInput();
  void Move(long by);
  // Of the rows, or of the one task's lines.
  void Page(long pages, ScreenSize size);
  void SortByNeighbour(long by);
  void Audit();
  void ForgetAudit();

  TopActions& actions_;
  TopModel model_;
  TopView view_;
  Input input_ = Input::kNone;
  std::optional<TaskKey> asked_;  // the task that a line of input is about
  std::string typed_;
  size_t row_ = 0;  // of what is selected
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TOP_VIEWER_H_
