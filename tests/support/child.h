// Runs a program as a child process, with the library preloaded or without it,
// and says how it ended. The preload is in the child's environment only.
#ifndef TASKMEM_TESTS_SUPPORT_CHILD_H_
#define TASKMEM_TESTS_SUPPORT_CHILD_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace taskmem::test {

enum class Preload { kOff, kOn };

struct Command {
  std::vector<std::string> arguments;  // arguments[0]: a path, or a name looked up in PATH
  Preload preload = Preload::kOn;
  std::map<std::string, std::string> environment;  // TASKMEM_* of the caller are taken out first
  std::vector<std::string> more_preloads;          // after the library; only with the preload
  std::string directory;                           // empty: the caller's
  int timeout_seconds = 120;
  // The child (not its children) is killed when it holds more than this.
  uint64_t resident_limit_bytes = uint64_t{2} << 30;
  // What it and each of its children may map writable. 0: no limit.
  uint64_t data_limit_bytes = uint64_t{8} << 30;
};

struct Result {
  pid_t pid = 0;
  int exit_status = -1;  // -1: did not exit by itself
  int signal = 0;        // 0: no signal ended it
  std::string ended_by;  // "timeout" or "memory" where the runner killed it
  std::string out;
  std::string err;

  bool Succeeded() const { return exit_status == 0; }
  // How it ended and what it wrote, for a failure message.
  std::string Describe() const;
};

// Runs `command` to its end. Standard input is empty. What the child leaves
// behind in its process group is killed.
Result RunCommand(const Command& command);

// A file of this build or source tree by its path below the root of the
// workspace: from the runfiles, else beside this test.
std::string Runfile(const std::string& path);

// The preload library: TASKMEM_TEST_LIBRARY, else this build's.
std::string LibraryPath();

// The program <name> of a folder of tests/programs/, of this build.
std::string ProgramPath(const std::string& name);

// The program's full path, or empty where PATH has none.
std::string FindInPath(const std::string& name);

// A folder of its own, removed with its contents at the end.
class TemporaryFolder {
 public:
  // In Bazel's folder for the test, or in `parent`, which other users may reach.
  TemporaryFolder();
  explicit TemporaryFolder(const std::string& parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // Creates a file in it and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_CHILD_H_
