// What the test groups have in common: a program of tests/programs/ is run and
// must exit with 0 and, unless it is meant to, write nothing to standard error.
#ifndef TASKMEM_TESTS_SUPPORT_PROGRAM_TEST_H_
#define TASKMEM_TESTS_SUPPORT_PROGRAM_TEST_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/child.h"

namespace taskmem::test {

using Environment = std::map<std::string, std::string>;

// Runs a program of tests/programs/ under the preload, with its books in a
// folder of their own.
inline Result RunProgram(std::vector<std::string> arguments, Environment environment = {}) {
  TemporaryFolder stats;
  Command command;
  command.arguments = std::move(arguments);
  command.arguments[0] = ProgramPath(command.arguments[0]);
  command.environment = std::move(environment);
  command.environment.try_emplace("TASKMEM_STATS_DIR", stats.path());
  return RunCommand(command);
}

// The same, and it must succeed in silence.
inline void ExpectSuccess(std::vector<std::string> arguments, Environment environment = {}) {
  const Result result = RunProgram(std::move(arguments), std::move(environment));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

// The numbers that a program of tests/programs/ writes.
inline std::vector<long> NumbersOf(std::vector<std::string> arguments, Preload preload) {
  Command command;
  command.arguments = std::move(arguments);
  command.arguments[0] = ProgramPath(command.arguments[0]);
  command.preload = preload;
  const Result result = RunCommand(command);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  std::istringstream text(result.out);
  std::vector<long> numbers;
  for (long number; text >> number;) numbers.push_back(number);
  return numbers;
}

// What the preload adds to each of these numbers. The first run may make the user's directory.
inline std::vector<long> AddedByPreload(const std::vector<std::string>& arguments) {
  NumbersOf(arguments, Preload::kOn);
  const std::vector<long> without = NumbersOf(arguments, Preload::kOff);
  std::vector<long> added = NumbersOf(arguments, Preload::kOn);
  EXPECT_EQ(added.size(), without.size());
  for (size_t i = 0; i < added.size() && i < without.size(); ++i) added[i] -= without[i];
  return added;
}

// The least of some runs of each: by where its parts come to lie a program touches some pages more
// or less.
inline std::vector<long> LeastAddedByPreload(const std::vector<std::string>& arguments) {
  std::vector<long> least = AddedByPreload(arguments);
  for (int i = 0; i < 4; ++i) {
    const std::vector<long> again = AddedByPreload(arguments);
    EXPECT_EQ(again.size(), least.size());
    for (size_t k = 0; k < again.size() && k < least.size(); ++k) {
      least[k] = std::min(least[k], again[k]);
    }
  }
  return least;
}

// A program that keeps to what glibc promises. It runs without the preload too,
// which shows that the program is right.
struct ContractProgram {
  std::string name;
  std::vector<std::string> arguments = {};
  std::string library = {};        // of tests/programs/: its path is the first argument
  bool library_preloaded = false;  // instead: loaded after ours, so initialised before it
  bool writes_errors = false;
  uint64_t data_limit_bytes = uint64_t{8} << 30;
};

inline void PrintTo(const ContractProgram& program, std::ostream* out) { *out << program.name; }

class ContractTest : public ::testing::TestWithParam<std::tuple<ContractProgram, Preload>> {
 protected:
  void RunContract() {
    const auto& [program, preload] = GetParam();
    TemporaryFolder stats;
    Command command;
    command.arguments = {ProgramPath(program.name)};
    if (!program.library.empty() && !program.library_preloaded) {
      command.arguments.push_back(ProgramPath(program.library));
    }
    for (const std::string& argument : program.arguments) command.arguments.push_back(argument);
    command.preload = preload;
    command.data_limit_bytes = program.data_limit_bytes;
    if (program.library_preloaded) {
      command.more_preloads = {ProgramPath(program.library)};
      if (preload == Preload::kOff) {
        command.environment["LD_PRELOAD"] = ProgramPath(program.library);
      }
    }
    if (preload == Preload::kOn) command.environment["TASKMEM_STATS_DIR"] = stats.path();
    const Result result = RunCommand(command);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    if (!program.writes_errors) {
      EXPECT_EQ(result.err, "");
    }
  }
};

inline std::string ContractName(const ::testing::TestParamInfo<ContractTest::ParamType>& info) {
  const auto& [program, preload] = info.param;
  std::string name = program.name;
  for (const std::string& argument : program.arguments) name += "_" + argument;
  return name + (preload == Preload::kOn ? "_preloaded" : "_plain");
}

// Defines the test `Group.Keeps/<program>_<plain or preloaded>` for each program.
#define TASKMEM_CONTRACT_TESTS(Group, ...)                                                   \
  class Group : public ::taskmem::test::ContractTest {};                                     \
  TEST_P(Group, Keeps) { RunContract(); }                                                    \
  INSTANTIATE_TEST_SUITE_P(                                                                  \
      , Group,                                                                               \
      ::testing::Combine(                                                                    \
          ::testing::ValuesIn(std::vector<::taskmem::test::ContractProgram> __VA_ARGS__),    \
          ::testing::Values(::taskmem::test::Preload::kOff, ::taskmem::test::Preload::kOn)), \
      ::taskmem::test::ContractName)

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_PROGRAM_TEST_H_
