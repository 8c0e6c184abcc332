// Counts what malloc and free cost when a free list can serve them: the
// instructions from the entry to the first return. A change that adds one, or a
// call, has to be meant: change the budget with it and show what it buys.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/child.h"

namespace taskmem::test {
namespace {

std::string OutputOf(const std::string& command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  EXPECT_NE(pipe, nullptr) << command;
  std::string output;
  std::array<char, 4096> buffer;
  while (pipe != nullptr && fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) {
    output += buffer.data();
  }
  return output;
}

// The instructions of an exported function, in the order of their addresses, up
// to and with its first return.
std::vector<std::string> FastPath(const std::string& function) {
  const std::string library = LibraryPath();
  std::istringstream symbols(OutputOf("nm -D -S " + library));
  std::string line;
  std::vector<std::string> instructions;
  while (std::getline(symbols, line)) {
    std::istringstream fields(line);
    std::string address, size, kind, name;
    fields >> address >> size >> kind >> name;
    if (name != function) continue;
    const unsigned long start = std::stoul(address, nullptr, 16);
    char command[512];
    snprintf(command, sizeof(command),
             "objdump -d --no-show-raw-insn --start-address=%lu --stop-address=%lu %s", start,
             start + std::stoul(size, nullptr, 16), library.c_str());
    std::istringstream code(OutputOf(command));
    while (std::getline(code, line)) {
      const size_t at = line.find(":\t");
      if (at == std::string::npos) continue;
      instructions.push_back(line.substr(at + 2));
      if (instructions.back().rfind("ret", 0) == 0) return instructions;
    }
  }
  ADD_FAILURE() << function << " has no return, or is not exported";
  return instructions;
}

void ExpectBudget(const std::string& function, size_t budget) {
  const std::vector<std::string> path = FastPath(function);
  std::string text;
  for (const std::string& instruction : path) {
    text += "  " + instruction + "\n";
    EXPECT_EQ(instruction.find("call"), std::string::npos) << function << " calls: " << instruction;
  }
  EXPECT_LE(path.size(), budget) << function << " has grown:\n" << text;
  EXPECT_GE(path.size(), 8u) << function << " is not what was measured:\n" << text;
}

TEST(FastPath, MallocKeepsItsBudget) { ExpectBudget("malloc", 15); }
TEST(FastPath, FreeKeepsItsBudget) { ExpectBudget("free", 25); }
TEST(FastPath, OperatorNewKeepsItsBudget) { ExpectBudget("_Znwm", 15); }
TEST(FastPath, OperatorDeleteKeepsItsBudget) { ExpectBudget("_ZdlPv", 25); }

}  // namespace
}  // namespace taskmem::test
