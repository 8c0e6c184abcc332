#include "tests/support/terminal.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vterm.h>

#include <chrono>
#include <cstdlib>

namespace taskmem::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);

void AppendUtf8(uint32_t character, std::string* text) {
  if (character < 0x80) {
    *text += static_cast<char>(character);
  } else if (character < 0x800) {
    *text += static_cast<char>(0xc0 | character >> 6);
    *text += static_cast<char>(0x80 | (character & 0x3f));
  } else {
    *text += static_cast<char>(0xe0 | (character >> 12 & 0xf));
    *text += static_cast<char>(0x80 | (character >> 6 & 0x3f));
    *text += static_cast<char>(0x80 | (character & 0x3f));
  }
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& command,
                   const std::map<std::string, std::string>& environment, int columns, int lines)
    : columns_(columns), lines_(lines), terminal_(vterm_new(lines, columns)) {
  vterm_set_utf8(terminal_, 1);
  screen_ = vterm_obtain_screen(terminal_);
  vterm_screen_reset(screen_, 1);
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(lines);
  pid_ = forkpty(&fd_, nullptr, nullptr, &size);
  if (pid_ != 0) return;
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

Terminal::~Terminal() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
  vterm_free(terminal_);
}

bool Terminal::Take() {
  pollfd poller = {fd_, POLLIN, 0};
  if (poll(&poller, 1, 20) <= 0) return true;
  char bytes[65536];
  const ssize_t got = read(fd_, bytes, sizeof(bytes));
  if (got <= 0) return false;
  written_.append(bytes, static_cast<size_t>(got));
  vterm_input_write(terminal_, bytes, static_cast<size_t>(got));
  return true;
}

std::vector<std::string> Terminal::Lines() {
  std::vector<std::string> lines;
  for (int row = 0; row < lines_; ++row) {
    std::string line;
    for (int column = 0; column < columns_; ++column) {
      VTermScreenCell cell;
      vterm_screen_get_cell(screen_, {row, column}, &cell);
      if (cell.chars[0] == 0) {
        line += ' ';
      } else if (cell.chars[0] != UINT32_MAX) {
        AppendUtf8(cell.chars[0], &line);
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(line);
  }
  return lines;
}

std::string Terminal::Text() {
  std::string text;
  for (const std::string& line : Lines()) text += line + "\n";
  return text;
}

bool Terminal::HasColors() {
  for (int row = 0; row < lines_; ++row) {
    for (int column = 0; column < columns_; ++column) {
      VTermScreenCell cell;
      vterm_screen_get_cell(screen_, {row, column}, &cell);
      if (!VTERM_COLOR_IS_DEFAULT_FG(&cell.fg) || !VTERM_COLOR_IS_DEFAULT_BG(&cell.bg)) return true;
    }
  }
  return false;
}

void Terminal::Type(const std::string& keys) {
  for (size_t done = 0; done < keys.size();) {
    const ssize_t written = write(fd_, keys.data() + done, keys.size() - done);
    if (written <= 0) return;
    done += static_cast<size_t>(written);
  }
}

void Terminal::Resize(int columns, int lines) {
  columns_ = columns;
  lines_ = lines;
  vterm_set_size(terminal_, lines, columns);
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(lines);
  ioctl(fd_, TIOCSWINSZ, &size);
}

bool Terminal::Await(const std::function<bool(const std::vector<std::string>&)>& is_right) {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    if (is_right(Lines())) return true;
    if (!Take()) return is_right(Lines());
  }
  return false;
}

bool Terminal::AwaitText(const std::string& text) {
  return Await(
      [&](const std::vector<std::string>&) { return Text().find(text) != std::string::npos; });
}

int Terminal::AwaitEnd() {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    if (!Take()) break;
  }
  int status = 0;
  while (Clock::now() < deadline) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return status;
    }
    usleep(1000);
  }
  return -1;
}

}  // namespace taskmem::test
