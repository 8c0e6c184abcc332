#include "tools/sites/symbols_apart.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <string>
#include <string_view>

namespace taskmem {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds(20);
constexpr uint32_t kMostTextBytes = 4096;

// What the child says of a function at an address, in their order; the texts follow.
struct Answer {
  uint32_t function_bytes;
  uint32_t file_bytes;
  int32_t line;
  uint32_t is_inlined;  // 0: the last of the address
};

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// In the child: answers as long as somebody listens.
void AnswerAll(const std::vector<Module>& modules, const std::vector<uint64_t>& addresses, int fd) {
  constexpr size_t kPieceBytes = 32 * 1024;
  // Of the others nothing is asked.
  std::set<const Module*> asked;
  for (const uint64_t address : addresses) asked.insert(FindModule(modules, address - 1));
  std::vector<Module> needed;
  for (const Module& module : modules) {
    if (asked.contains(&module)) needed.push_back(module);
  }
  Symboliser symboliser(needed);
  std::string text;
  for (const uint64_t address : addresses) {
    for (const Symbol& symbol : symboliser.OfReturnAddress(address)) {
      const std::string function = symbol.function.substr(0, kMostTextBytes);
      const std::string file = symbol.file.substr(0, kMostTextBytes);
      const Answer answer = {static_cast<uint32_t>(function.size()),
                             static_cast<uint32_t>(file.size()), symbol.line, symbol.is_inlined};
      text.append(reinterpret_cast<const char*>(&answer), sizeof(answer));
      text += function;
      text += file;
    }
    if (text.size() < kPieceBytes) continue;
    if (!WriteAll(fd, text)) return;
    text.clear();
  }
  WriteAll(fd, text);
}

[[noreturn]] void BeChild(const std::vector<Module>& modules,
                          const std::vector<uint64_t>& addresses, int fd) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
#ifndef __SANITIZE_ADDRESS__
  constexpr rlim_t kMostDataBytes = rlim_t{4} << 30;
  rlimit data;
  if (getrlimit(RLIMIT_DATA, &data) == 0) {
    data.rlim_cur = std::min(data.rlim_max, kMostDataBytes);
    setrlimit(RLIMIT_DATA, &data);
  }
#endif
  try {
    AnswerAll(modules, addresses, fd);
  } catch (...) {
    // What was answered is there.
  }
  _exit(0);
}

// Reads what the child says, until it ends or the time is up. `from` takes what is there, and
// leaves what is not whole.
void ReadAnswers(int fd, const std::vector<uint64_t>& addresses, SymbolTable* symbols) {
  const auto deadline = Clock::now() + kPatience;
  std::string text;
  size_t next = 0;
  char buffer[65536];
  while (next < addresses.size()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return;
    pollfd waits = {fd, POLLIN, 0};
    const int ready = poll(&waits, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    text.append(buffer, static_cast<size_t>(got));
    size_t at = 0;
    while (next < addresses.size() && text.size() - at >= sizeof(Answer)) {
      Answer answer;
      text.copy(reinterpret_cast<char*>(&answer), sizeof(answer), at);
      if (answer.function_bytes > kMostTextBytes || answer.file_bytes > kMostTextBytes) return;
      const size_t bytes = sizeof(answer) + answer.function_bytes + answer.file_bytes;
      if (text.size() - at < bytes) break;
      std::vector<Symbol>& known = (*symbols)[addresses[next]];
      if (answer.is_inlined != 0) {
        if (known.size() > kMostInlined) return;
        known.insert(known.end() - 1, known.back());
      } else {
        ++next;
      }
      // The last has the module, as the others do.
      Symbol& symbol = answer.is_inlined != 0 ? *(known.end() - 2) : known.back();
      symbol.is_inlined = answer.is_inlined != 0;
      symbol.function = text.substr(at + sizeof(answer), answer.function_bytes);
      symbol.file = text.substr(at + sizeof(answer) + answer.function_bytes, answer.file_bytes);
      symbol.line = answer.line;
      at += bytes;
    }
    text.erase(0, at);
  }
}

}  // namespace

SymbolTable ModulesOfReturnAddresses(const std::vector<Module>& modules,
                                     const std::vector<uint64_t>& addresses) {
  SymbolTable symbols;
  for (const uint64_t address : addresses) {
    Symbol& symbol = symbols[address].emplace_back();
    const Module* const module = FindModule(modules, address - 1);
    if (module == nullptr) continue;
    symbol.path = module->path;
    symbol.module = module->Name();
    symbol.is_unloaded = module->is_unloaded;
    symbol.offset = address - module->start;
  }
  return symbols;
}

SymbolTable NamesOfReturnAddresses(const std::vector<Module>& modules,
                                   const std::vector<uint64_t>& addresses) {
  SymbolTable symbols = ModulesOfReturnAddresses(modules, addresses);
  if (addresses.empty()) return symbols;
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return symbols;
  const pid_t child = fork();
  if (child == 0) {
    close(pipe_fds[0]);
    BeChild(modules, addresses, pipe_fds[1]);
  }
  close(pipe_fds[1]);
  struct End {
    ~End() {
      close(fd);
      if (child < 0) return;
      kill(child, SIGKILL);
      while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    int fd;
    pid_t child;
  } end{pipe_fds[0], child};
  if (child > 0) ReadAnswers(pipe_fds[0], addresses, &symbols);
  return symbols;
}

}  // namespace taskmem
