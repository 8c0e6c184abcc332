// Replays recordings of Spark with the library and says whether the same happened.

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include "tests/conformance/directory.h"

namespace taskmem::conformance {
namespace {

namespace fs = std::filesystem;

constexpr int kExitUsage = 2;

struct Arguments {
  std::string directory;          // the user's; empty: none
  std::string default_directory;  // relative to the workspace
  std::string committed;          // relative to the runfiles
};

// A path the user gave: `bazel run` starts the program elsewhere.
fs::path FromUser(const fs::path& path) {
  const char* const directory = getenv("BUILD_WORKING_DIRECTORY");
  return directory != nullptr ? fs::path(directory) / path : path;
}

// The sources: runfiles are symbolic links to them. `committed` is where a file of them is.
fs::path Workspace(const fs::path& committed) {
  for (const auto& entry : fs::directory_iterator(committed)) {
    fs::path workspace = fs::canonical(entry.path()).parent_path();
    for ([[maybe_unused]] const fs::path& name : committed) workspace = workspace.parent_path();
    return workspace;
  }
  return fs::current_path();
}

fs::path Choose(const Arguments& arguments) {
  if (!arguments.directory.empty()) return FromUser(arguments.directory);
  const fs::path preferred =
      (Workspace(arguments.committed) / arguments.default_directory).lexically_normal();
  if (fs::exists(preferred)) return preferred;
  std::cout << preferred.native() << " does not exist: the committed traces are replayed\n";
  return arguments.committed;
}

int Run(const Arguments& arguments) {
  try {
    const fs::path directory = Choose(arguments);
    std::cout << "replaying " << directory.native() << std::endl;
    const Totals totals = ReplayDirectory(directory, std::cout, std::cerr);
    WriteTotals(totals, std::cout);
    const int status = totals.Succeeded() ? EXIT_SUCCESS : EXIT_FAILURE;
    // A thread that is stuck must not see what it uses destroyed.
    if (totals.left_thread_behind) std::_Exit(status);
    return status;
  } catch (const fs::filesystem_error& error) {
    std::cerr << "spark_traces: " << error.path1().native() << ": " << error.code().message()
              << "\n";
    return kExitUsage;
  }
}

}  // namespace
}  // namespace taskmem::conformance

int main(int argc, char** argv) {
  taskmem::conformance::Arguments arguments;
  CLI::App app("Replays recordings of Spark with the library and says whether the same happened.");
  app.add_option("directory", arguments.directory, "Traces, in it and below it.");
  app.add_option("--default-traces", arguments.default_directory,
                 "What is replayed where no directory is given, relative to the sources.");
  app.add_option("--committed-traces", arguments.committed,
                 "What is replayed where that does not exist.");
  try {
    app.parse(argc, argv);
    if (arguments.directory.empty() && arguments.committed.empty()) {
      throw CLI::RequiredError("directory");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : taskmem::conformance::kExitUsage;
  }
  return taskmem::conformance::Run(arguments);
}
