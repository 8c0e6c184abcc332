// What the benchmark drivers share: running a child under an allocator, and the
// arithmetic of repeated measurements.
#ifndef TASKMEM_TESTS_BENCH_CHILD_H_
#define TASKMEM_TESTS_BENCH_CHILD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskmem::bench {

// How a program is run. Every configuration gets the same environment but for
// what stands here: variables that steer an allocator are taken out first.
struct Configuration {
  std::string name;
  std::string preload;                   // path of a library; empty: glibc's malloc
  std::vector<std::string> environment;  // "NAME=value"
};

struct Command {
  std::vector<std::string> arguments;    // arguments[0] is a path
  std::vector<std::string> environment;  // "NAME=value", in every configuration
  // Transparent huge pages make what is resident depend on alignment and on the
  // kernel's mood. Set where resident bytes are the result, not a by-product.
  bool disable_huge_pages = false;
  double timeout_seconds = 300;
};

struct Outcome {
  std::string failure;  // empty: exit status 0
  std::string output;   // standard output
  std::string errors;   // standard error
  double wall_seconds = 0;
  double cpu_seconds = 0;  // user + system
  uint64_t peak_resident_bytes = 0;
};

// Runs a command to its end. A child that outlives its timeout is killed.
Outcome Run(const Command& command, const Configuration& configuration);

// A program or library of this build: below the working directory (`bazel run`
// starts there), else beside the driver. `path` is relative to the workspace's
// root. Empty where it is in neither place.
std::string FindBuilt(std::string_view path);

// A library of the system by its file name; empty where it is not installed.
std::string FindSystemLibrary(std::string_view file_name);

// "--name value" and "--name=value".
class Flags {
 public:
  Flags(int argc, char** argv) : arguments_(argv + 1, argv + argc) {}

  // Takes the flag out of the list.
  std::optional<std::string> Take(std::string_view name);

  // What nobody took, for the complaint.
  const std::vector<std::string>& left() const { return arguments_; }

 private:
  std::vector<std::string> arguments_;
};

// As Take, for a number of at least `minimum`; ends the driver with a complaint
// where it is none.
uint64_t TakeNumber(Flags& flags, std::string_view name, uint64_t default_value, uint64_t minimum);

std::vector<std::string> Split(std::string_view text, char separator);

// 0 for no values.
double Median(std::vector<double> values);
double GeometricMean(const std::vector<double>& values);

// taskmem as the charge is measured: one quota nobody reaches, so that every
// charge is checked against it.
Configuration TaskmemConfiguration(std::string name, const std::string& library,
                                   const std::string& task_by);

// The library under test: --library, else the one of this build. Ends the
// driver with a complaint where there is none.
std::string TakeTaskmemLibrary(Flags& flags);

// Ends the driver with a complaint where flags are left.
void RequireNoFlagsLeft(const Flags& flags);

// One line on standard error, then exit status 2.
[[noreturn]] void Fail(const std::string& complaint);

}  // namespace taskmem::bench

#endif  // TASKMEM_TESTS_BENCH_CHILD_H_
