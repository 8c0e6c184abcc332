#include "tests/bench/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace taskmem::bench {
namespace {

// Variables by which a user steers an allocator: none may leak into a run.
constexpr std::string_view kSteering[] = {"LD_PRELOAD=",     "MALLOC_",   "MIMALLOC_",
                                          "GLIBC_TUNABLES=", "TCMALLOC_", "PYTHONMALLOC=",
                                          "TASKMEM_"};

std::vector<std::string> MakeEnvironment(const Command& command,
                                         const Configuration& configuration) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const bool steers = std::any_of(std::begin(kSteering), std::end(kSteering),
                                    [&](std::string_view p) { return variable.starts_with(p); });
    if (!steers) result.emplace_back(variable);
  }
  for (const std::string& variable : command.environment) result.push_back(variable);
  for (const std::string& variable : configuration.environment) result.push_back(variable);
  if (!configuration.preload.empty()) result.push_back("LD_PRELOAD=" + configuration.preload);
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

// A file in memory instead of a pipe: the driver need not read while the child
// runs, so it takes no time from it.
int MemoryFile() {
  const int file = memfd_create("child", MFD_CLOEXEC);
  if (file < 0) Fail("no memory file for a child's output");
  return file;
}

std::string ReadAndClose(int file) {
  std::string text(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  const ssize_t length = pread(file, text.data(), text.size(), 0);
  text.resize(length < 0 ? 0 : static_cast<size_t>(length));
  close(file);
  return text;
}

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

// False where the child was still running at the end of the time.
bool WaitForExit(pid_t child, double seconds) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (handle < 0) return true;  // an old kernel: wait without a limit
  pollfd poll_entry = {handle, POLLIN, 0};
  const int ready = poll(&poll_entry, 1, static_cast<int>(seconds * 1000));
  close(handle);
  return ready != 0;
}

}  // namespace

Outcome Run(const Command& command, const Configuration& configuration) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = MakeEnvironment(command, configuration);
  std::vector<char*> argument_pointers = Pointers(arguments);
  std::vector<char*> environment_pointers = Pointers(environment);
  const int output = MemoryFile();
  const int errors = MemoryFile();

  const double start = Now();
  const pid_t child = fork();
  if (child < 0) Fail("fork failed");
  if (child == 0) {
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    if (command.disable_huge_pages) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupted driver leaves nobody behind
    execve(argument_pointers[0], argument_pointers.data(), environment_pointers.data());
    _exit(127);
  }
  Outcome outcome;
  if (!WaitForExit(child, command.timeout_seconds)) {
    kill(child, SIGKILL);
    outcome.failure = "no end after " + std::to_string(command.timeout_seconds) + " s";
  }
  int status = 0;
  rusage usage = {};
  wait4(child, &status, 0, &usage);
  outcome.wall_seconds = Now() - start;
  outcome.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  outcome.peak_resident_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  outcome.output = ReadAndClose(output);
  outcome.errors = ReadAndClose(errors);
  if (!outcome.failure.empty()) return outcome;
  if (WIFSIGNALED(status)) {
    outcome.failure = std::string("ended by ") + strsignal(WTERMSIG(status));
  } else if (WEXITSTATUS(status) != 0) {
    outcome.failure = "exit status " + std::to_string(WEXITSTATUS(status));
  } else if (outcome.errors.find("cannot be preloaded") != std::string::npos) {
    outcome.failure = "the library could not be preloaded";  // the loader only warns
  }
  return outcome;
}

std::string FindBuilt(std::string_view path) {
  namespace fs = std::filesystem;
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  // The driver stands in tests/bench of the build tree, or everything is in one
  // folder where somebody compiled by hand.
  const fs::path places[] = {fs::current_path() / path, here / "../.." / path,
                             here / fs::path(path).filename()};
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (fs::is_regular_file(place, ignored)) return fs::canonical(place).string();
  }
  return "";
}

std::string FindSystemLibrary(std::string_view file_name) {
  namespace fs = std::filesystem;
  for (const char* folder : {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
                             "/usr/lib64", "/usr/lib", "/usr/local/lib"}) {
    const fs::path path = fs::path(folder) / file_name;
    if (fs::exists(path)) return path.string();
  }
  return "";
}

std::optional<std::string> Flags::Take(std::string_view name) {
  const std::string flag = "--" + std::string(name);
  for (size_t i = 0; i < arguments_.size(); ++i) {
    const auto at = arguments_.begin() + static_cast<ptrdiff_t>(i);
    if (arguments_[i].starts_with(flag + "=")) {
      std::string value = arguments_[i].substr(flag.size() + 1);
      arguments_.erase(at);
      return value;
    }
    if (arguments_[i] == flag && i + 1 < arguments_.size()) {
      std::string value = arguments_[i + 1];
      arguments_.erase(at, at + 2);
      return value;
    }
  }
  return std::nullopt;
}

uint64_t TakeNumber(Flags& flags, std::string_view name, uint64_t default_value, uint64_t minimum) {
  const std::optional<std::string> text = flags.Take(name);
  if (!text) return default_value;
  char* end = nullptr;
  const uint64_t value = strtoull(text->c_str(), &end, 10);
  if (text->empty() || *end != '\0' || text->front() == '-' || value < minimum) {
    Fail("--" + std::string(name) + " expects a number of at least " + std::to_string(minimum));
  }
  return value;
}

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

double GeometricMean(const std::vector<double>& values) {
  if (values.empty()) return 0;
  double sum = 0;
  for (const double value : values) sum += std::log(value);
  return std::exp(sum / static_cast<double>(values.size()));
}

Configuration TaskmemConfiguration(std::string name, const std::string& library,
                                   const std::string& task_by) {
  return {std::move(name), library, {"TASKMEM_TASK_BY=" + task_by, "TASKMEM_QUOTA=64G"}};
}

std::string TakeTaskmemLibrary(Flags& flags) {
  if (const std::optional<std::string> given = flags.Take("library")) {
    std::error_code error;
    const std::filesystem::path path = std::filesystem::canonical(*given, error);
    if (error) Fail("--library: no file " + *given);
    return path.string();
  }
  std::string built = FindBuilt("shim/libtaskmem.so");
  if (built.empty()) Fail("no libtaskmem.so in this build; say --library PATH");
  return built;
}

void RequireNoFlagsLeft(const Flags& flags) {
  if (!flags.left().empty()) Fail("unknown argument " + flags.left().front());
}

void Fail(const std::string& complaint) {
  std::fprintf(stderr, "%s\n", complaint.c_str());
  std::exit(2);
}

}  // namespace taskmem::bench
