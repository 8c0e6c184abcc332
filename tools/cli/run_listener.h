// What the program that `taskmem run` starts says about its books (shim/base/run_notice.h).
#ifndef TASKMEM_TOOLS_CLI_RUN_LISTENER_H_
#define TASKMEM_TOOLS_CLI_RUN_LISTENER_H_

#include <sys/types.h>

#include <string>

namespace taskmem {

class RunListener {
 public:
  // Hears nothing where there can be no socket.
  explicit RunListener(const std::string& session);
  ~RunListener();
  RunListener(const RunListener&) = delete;
  RunListener& operator=(const RunListener&) = delete;

  // Takes what has been said; counts only what the process `pid` itself said, last. Call it
  // before another process can have that pid.
  void Hear(pid_t pid);

  // It had the library, and could make no file.
  bool has_no_books() const { return has_no_books_; }
  // Its stats file, wherever it is; -1: it said nothing of one. Stays this object's.
  int stats_file() const { return stats_file_; }

 private:
  int socket_ = -1;
  int stats_file_ = -1;
  bool has_no_books_ = false;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_RUN_LISTENER_H_
