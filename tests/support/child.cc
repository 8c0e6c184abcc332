#include "tests/support/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

extern char** environ;

namespace taskmem::test {
namespace {

using Clock = std::chrono::steady_clock;

// How often a silent child's memory is looked at.
constexpr int kWatchMilliseconds = 20;

std::vector<std::string> EnvironmentOf(const Command& command) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    if (name == "LD_PRELOAD" || name.starts_with("TASKMEM_")) continue;
    variables[name] = text.substr(name.size() + 1);
  }
  if (command.preload == Preload::kOn) {
    std::string preload = LibraryPath();
    for (const std::string& more : command.more_preloads) preload += ":" + more;
    variables["LD_PRELOAD"] = preload;
  }
  for (const auto& [name, value] : command.environment) variables[name] = value;
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

[[noreturn]] void BecomeProgram(const Command& command, const std::string& program, char** argv,
                                char** envp, int out, int err) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (command.data_limit_bytes != 0) {
    const rlimit data = {command.data_limit_bytes, command.data_limit_bytes};
    setrlimit(RLIMIT_DATA, &data);
  }
  if (command.directory.empty() || chdir(command.directory.c_str()) == 0) {
    execve(program.c_str(), argv, envp);
  }
  dprintf(STDERR_FILENO, "cannot run %s: %s\n", program.c_str(), strerror(errno));
  _exit(127);
}

uint64_t ResidentBytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  uint64_t total = 0;
  uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Moves what is there to read. False once the other side is closed.
bool Drain(int fd, std::string* text) {
  char buffer[65536];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0) {
      text->append(buffer, static_cast<size_t>(got));
    } else {
      return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
}

// Reads until the child has ended. Its own children may keep the pipes open.
void Watch(const Command& command, int out, int err, Result* result) {
  const auto deadline = Clock::now() + std::chrono::seconds(command.timeout_seconds);
  pollfd pipes[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  for (;;) {
    poll(pipes, 2, kWatchMilliseconds);
    if (pipes[0].fd >= 0 && !Drain(out, &result->out)) pipes[0].fd = -1;
    if (pipes[1].fd >= 0 && !Drain(err, &result->err)) pipes[1].fd = -1;
    siginfo_t info = {};
    waitid(P_PID, static_cast<id_t>(result->pid), &info, WEXITED | WNOHANG | WNOWAIT);
    if (info.si_pid != 0) break;
    if (Clock::now() > deadline) result->ended_by = "timeout";
    if (ResidentBytes(result->pid) > command.resident_limit_bytes) result->ended_by = "memory";
    if (!result->ended_by.empty()) break;
  }
  kill(-result->pid, SIGKILL);
  int status = 0;
  waitpid(result->pid, &status, 0);
  Drain(out, &result->out);
  Drain(err, &result->err);
  if (WIFEXITED(status)) result->exit_status = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result->signal = WTERMSIG(status);
}

}  // namespace

std::string Result::Describe() const {
  std::string text;
  if (!ended_by.empty()) {
    text = "killed by the test: " + ended_by;
  } else if (signal != 0) {
    text = "ended by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
  } else {
    text = "exit status " + std::to_string(exit_status);
  }
  return text + "\nstandard output:\n" + out + "\nstandard error:\n" + err;
}

Result RunCommand(const Command& command) {
  const std::string& name = command.arguments.at(0);
  const std::string program = name.find('/') == std::string::npos ? FindInPath(name) : name;
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = EnvironmentOf(command);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(environment);
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    throw std::runtime_error("pipe2 failed");
  }
  Result result;
  result.pid = fork();
  if (result.pid < 0) throw std::runtime_error("fork failed");
  if (result.pid == 0) {
    BecomeProgram(command, program, const_cast<char**>(argv.data()),
                  const_cast<char**>(envp.data()), out[1], err[1]);
  }
  // Both sides do, so that the group exists whoever comes first.
  setpgid(result.pid, result.pid);
  close(out[1]);
  close(err[1]);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  Watch(command, out[0], err[0], &result);
  close(out[0]);
  close(err[0]);
  return result;
}

std::string Runfile(const std::string& path) {
  namespace fs = std::filesystem;
  const char* runfiles = getenv("TEST_SRCDIR");
  const char* workspace = getenv("TEST_WORKSPACE");
  if (runfiles != nullptr && workspace != nullptr) {
    return fs::path(runfiles) / workspace / path;
  }
  // This test is <root>/tests/<name>.
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / path;
}

std::string LibraryPath() {
  const char* chosen = getenv("TASKMEM_TEST_LIBRARY");
  return chosen != nullptr ? chosen : Runfile("shim/libtaskmem.so");
}

std::string ProgramPath(const std::string& name) {
  const std::string programs = Runfile("tests/programs");
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator(programs, error)) {
    const std::filesystem::path path = folder.path() / name;
    if (std::filesystem::is_regular_file(path, error)) return path;
  }
  return programs + "/" + name;
}

std::string FindInPath(const std::string& name) {
  const char* path = getenv("PATH");
  std::string rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const size_t end = rest.find(':');
    const std::string candidate = rest.substr(0, end) + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = end == std::string::npos ? "" : rest.substr(end + 1);
  }
  return "";
}

TemporaryFolder::TemporaryFolder()
    : TemporaryFolder(getenv("TEST_TMPDIR") != nullptr ? getenv("TEST_TMPDIR") : "/tmp") {}

TemporaryFolder::TemporaryFolder(const std::string& parent)
    : path_(parent + "/taskmem-test-XXXXXX") {
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::Write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace taskmem::test
