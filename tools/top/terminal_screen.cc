#include "tools/top/terminal_screen.h"

#include <curses.h>
#include <fmt/format.h>
#include <langinfo.h>
#include <signal.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <cstring>

#include "tools/base/units.h"

namespace taskmem {
namespace {

volatile sig_atomic_t g_must_end = 0;

void NoteEnd(int) { g_must_end = 1; }

// Pairs of colours, by style.
short PairOf(Style style) { return static_cast<short>(static_cast<int>(style) + 1); }

attr_t AttributesOf(Style style) {
  switch (style) {
    case Style::kHeading:
    case Style::kSelected: return A_REVERSE;
    case Style::kDim: return A_DIM;
    case Style::kWarning:
    case Style::kBad: return A_BOLD;
    default: return A_NORMAL;
  }
}

void StartColors() {
  start_color();
  use_default_colors();
  const auto pair = [](Style style, short color) { init_pair(PairOf(style), color, -1); };
  pair(Style::kGood, COLOR_GREEN);
  pair(Style::kWarning, COLOR_YELLOW);
  pair(Style::kBad, COLOR_RED);
  pair(Style::kStorage, COLOR_BLUE);
  pair(Style::kUnmanaged, COLOR_MAGENTA);
}

bool HasPair(Style style) {
  return style == Style::kGood || style == Style::kWarning || style == Style::kBad ||
         style == Style::kStorage || style == Style::kUnmanaged;
}

}  // namespace

bool UseLocaleOfUser() {
  return setlocale(LC_ALL, "") != nullptr && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

std::unique_ptr<TerminalScreen> TerminalScreen::Open(std::string* error) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
    *error = "there is no terminal: taskmem top --once prints one screen";
    return nullptr;
  }
  const char* const type = getenv("TERM");
  set_escdelay(25);
  SCREEN* const screen = newterm(type, stdout, stdin);
  if (screen == nullptr) {
    *error = fmt::format("a terminal of type {} is not known: taskmem top --once prints one screen",
                         Printable(type != nullptr ? type : "''", 40));
    return nullptr;
  }
  return std::unique_ptr<TerminalScreen>(new TerminalScreen(screen));
}

TerminalScreen::TerminalScreen(void* screen) : screen_(screen) {
  set_term(static_cast<SCREEN*>(screen_));
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  curs_set(0);
  const char* const no_color = getenv("NO_COLOR");
  has_colors_ = has_colors() && (no_color == nullptr || *no_color == '\0');
  if (has_colors_) StartColors();
  struct sigaction end = {};
  end.sa_handler = NoteEnd;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &end, nullptr);
}

TerminalScreen::~TerminalScreen() {
  endwin();
  delscreen(static_cast<SCREEN*>(screen_));
}

ScreenSize TerminalScreen::size() const {
  return {static_cast<size_t>(std::max(COLS, 1)), static_cast<size_t>(std::max(LINES, 1))};
}

void TerminalScreen::Draw(const std::vector<ScreenLine>& lines) {
  erase();
  for (size_t y = 0; y < lines.size(); ++y) {
    if (move(static_cast<int>(y), 0) == ERR) break;
    for (const Span& span : lines[y]) {
      const bool has_pair = has_colors_ && HasPair(span.style);
      attr_set(AttributesOf(span.style), has_pair ? PairOf(span.style) : 0, nullptr);
      addstr(span.text.c_str());
    }
  }
  attr_set(A_NORMAL, 0, nullptr);
  refresh();
}

std::optional<KeyPress> TerminalScreen::AwaitKey(int milliseconds) {
  timeout(milliseconds);
  const int key = getch();
  switch (key) {
    case ERR:
      // A terminal that is gone reads as its end at once.
      if (isatty(STDIN_FILENO) == 0) g_must_end = 1;
      return std::nullopt;
    case KEY_RESIZE: return std::nullopt;
    case KEY_UP: return KeyPress{Key::kUp};
    case KEY_DOWN: return KeyPress{Key::kDown};
    case KEY_LEFT: return KeyPress{Key::kLeft};
    case KEY_RIGHT: return KeyPress{Key::kRight};
    case KEY_PPAGE: return KeyPress{Key::kPageUp};
    case KEY_NPAGE: return KeyPress{Key::kPageDown};
    case KEY_HOME: return KeyPress{Key::kHome};
    case KEY_END: return KeyPress{Key::kEnd};
    case KEY_ENTER:
    case '\r':
    case '\n': return KeyPress{Key::kEnter};
    case 27: return KeyPress{Key::kEscape};
    case KEY_BACKSPACE:
    case 127:
    case 8: return KeyPress{Key::kBackspace};
    default:
      return key < 256 ? std::optional(KeyPress{Key::kCharacter, static_cast<char>(key)})
                       : std::nullopt;
  }
}

bool TerminalScreen::must_end() const { return g_must_end != 0; }

}  // namespace taskmem
