// A command in a terminal: a pseudo-terminal whose screen is kept by libvterm, as an emulator of
// terminals keeps its own.
#ifndef TASKMEM_TESTS_SUPPORT_TERMINAL_H_
#define TASKMEM_TESTS_SUPPORT_TERMINAL_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

struct VTerm;
struct VTermScreen;

namespace taskmem::test {

class Terminal {
 public:
  // Starts the command, of the environment of this process and `environment`.
  Terminal(const std::vector<std::string>& command,
           const std::map<std::string, std::string>& environment, int columns = 80, int lines = 24);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // The screen, without blanks at the ends of lines.
  std::vector<std::string> Lines();
  std::string Text();
  // Whether any character has a colour of its own.
  bool HasColors();
  // All that the command has written, as it came.
  const std::string& written() const { return written_; }

  void Type(const std::string& keys);
  void Resize(int columns, int lines);
  // Until the screen is as it should be, the command has ended, or a minute has passed. True: it
  // is.
  bool Await(const std::function<bool(const std::vector<std::string>&)>& is_right);
  bool AwaitText(const std::string& text);
  // Until it has ended; then its wait status. -1: it has not.
  int AwaitEnd();
  pid_t pid() const { return pid_; }

 private:
  // Takes what has been written, waits a moment for it. False: there will be no more.
  bool Take();

  pid_t pid_ = -1;
  int fd_ = -1;
  int columns_;
  int lines_;
  VTerm* terminal_;
  VTermScreen* screen_;
  std::string written_;
};

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_TERMINAL_H_
