#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tools/base/interposable.h"
#include "tools/doctor/doctor.h"
#include "tools/doctor/object_look.h"
#include "tools/doctor/objects.h"

namespace taskmem {
namespace {

// What the kernel executes where `path` is executed: the interpreter of a script, and what env(1)
// finds for it.
std::string FollowScript(const std::string& path) {
  std::string current = path;
  for (int depth = 0; depth < 5; ++depth) {
    std::ifstream file(current, std::ios::binary);
    std::string line;
    constexpr size_t kMostBytes = 4096;
    line.resize(kMostBytes);
    file.read(line.data(), kMostBytes);
    line.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    line = line.substr(0, line.find('\n'));
    if (!line.starts_with("#!")) return current;
    std::istringstream words(line.substr(2));
    std::string interpreter;
    std::string argument;
    words >> interpreter >> argument;
    if (BaseName(interpreter) == "env") {
      if (argument == "-S") words >> argument;
      int error;
      const auto found = FindProgram(argument, &error);
      if (!found) return interpreter;
      interpreter = *found;
    }
    if (interpreter.empty()) return current;
    current = interpreter;
  }
  return current;
}

// What the loader would load for the program, by its own account. Nothing of the program runs.
constexpr char kSystemLoader[] = "/lib64/ld-linux-x86-64.so.2";

std::vector<std::string> LinkedLibraries(const std::string& path) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  char* const arguments[] = {const_cast<char*>(kSystemLoader), const_cast<char*>("--list"),
                             const_cast<char*>(path.c_str()), nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, kSystemLoader, &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  constexpr size_t kMostBytes = 1 << 20;
  char bytes[4096];
  while (text.size() < kMostBytes) {
    const ssize_t got = read(ends[0], bytes, sizeof(bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(bytes, static_cast<size_t>(got));
  }
  close(ends[0]);
  if (error == 0) waitpid(pid, nullptr, 0);
  // "<tab>libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x...)"
  std::vector<std::string> libraries;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t arrow = line.find(" => ");
    const size_t end = line.rfind(" (0x");
    if (arrow == line.npos || end == line.npos || end <= arrow + 4) continue;
    libraries.push_back(line.substr(arrow + 4, end - arrow - 4));
  }
  return libraries;
}

Finding WhyNotFinding(const std::string& name, const std::string& why, const ObjectLook& look) {
  Finding finding{Severity::kFailure, fmt::format("{} cannot be interposed: {}", name, why), ""};
  if (why.find("statically") != why.npos) {
    finding.advice = look.is_go
                         ? "Go programs map memory by system calls of their own: limit them with "
                           "GOMEMLIMIT or a control group"
                         : "link it dynamically, or limit it with a control group";
  } else if (why.find("rights") != why.npos) {
    finding.advice = "the loader drops LD_PRELOAD there: run it as the user that it becomes";
  } else if (why.find("64-bit") != why.npos) {
    finding.advice = "use a build for x86-64";
  } else {
    finding.advice = "install what is missing";
  }
  return finding;
}

}  // namespace

void CheckProgram(const std::string& path, Findings* findings) {
  const std::string executed = FollowScript(path);
  if (executed != path) {
    findings->push_back(
        {Severity::kNote,
         fmt::format("{} is a script: {} runs it, and is looked at", BaseName(path), executed),
         "what it starts inherits the preload; look at it with taskmem doctor PID"});
  }
  const ObjectLook program = LookAtObject(executed);
  if (BaseName(program.loader).starts_with("ld-musl")) {
    findings->push_back({Severity::kFailure,
                         fmt::format("{} uses musl, and the library needs glibc", executed),
                         "use a build for glibc"});
    return;
  }
  // Of a script its interpreter, and the program that env(1) finds as one.
  auto why = WhyNotInterposable(path);
  if (!why && executed != path) why = WhyNotInterposable(executed);
  if (why) {
    findings->push_back(WhyNotFinding(BaseName(executed), *why, program));
    return;
  }
  if (!program.is_elf) {
    findings->push_back({Severity::kWarning,
                         fmt::format("{} is no ELF file that can be read", BaseName(executed)),
                         "look at what it starts with taskmem doctor PID"});
    return;
  }
  findings->push_back(
      {Severity::kOk, fmt::format("{} is linked dynamically: it loads the library", executed), ""});
  std::vector<ObjectLook> objects = {program};
  // No other is run: a file may name any program as its loader.
  if (program.loader == kSystemLoader) {
    for (const std::string& library : LinkedLibraries(executed)) {
      objects.push_back(LookAtObject(library));
    }
  }
  CheckObjects(BaseName(executed), objects, findings);
  findings->push_back({Severity::kNote, "libraries that it loads later cannot be seen here",
                       "start it, and look again with taskmem doctor PID"});
}

}  // namespace taskmem
