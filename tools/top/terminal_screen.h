// A terminal as a screen: ncurses, and nothing of it outside.
#ifndef TASKMEM_TOOLS_TOP_TERMINAL_SCREEN_H_
#define TASKMEM_TOOLS_TOP_TERMINAL_SCREEN_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/top/top_screen.h"
#include "tools/top/top_viewer.h"

namespace taskmem {

// The locale of the user has been set, and its characters are UTF-8.
bool UseLocaleOfUser();

// One at a time. It has no colours where the terminal has none, or NO_COLOR is set.
class TerminalScreen {
 public:
  // Takes the terminal of standard input and output. nullptr: it is none that can be used; `error`
  // says why.
  static std::unique_ptr<TerminalScreen> Open(std::string* error);
  // Gives the terminal back as it was.
  ~TerminalScreen();
  TerminalScreen(const TerminalScreen&) = delete;
  TerminalScreen& operator=(const TerminalScreen&) = delete;

  ScreenSize size() const;
  void Draw(const std::vector<ScreenLine>& lines);
  // Nothing: none came in time, or the size has changed.
  std::optional<KeyPress> AwaitKey(int milliseconds);
  // Somebody asked the command to end, or the terminal is gone.
  bool must_end() const;

 private:
  explicit TerminalScreen(void* screen);

  void* const screen_;
  bool has_colors_ = false;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TERMINAL_SCREEN_H_
