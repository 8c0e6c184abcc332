// The example programs (tests/examples) do under a tenth of the memory what they do without a
// quota: same output, never above the quota, by spilling.
#include <filesystem>

#include "tests/support/program_test.h"
#include "tests/support/stats_file.h"

namespace taskmem::test {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

std::string ExamplePath(const std::string& name) { return Runfile("tests/examples/" + name); }

struct Example {
  std::string name;
  std::vector<std::string> arguments;
  uint64_t quota_bytes;
};

void PrintTo(const Example& example, std::ostream* out) { *out << example.name; }

// Without the preload.
Result RunPlain(std::vector<std::string> arguments) {
  Command command;
  command.arguments = std::move(arguments);
  command.arguments[0] = ExamplePath(command.arguments[0]);
  command.preload = Preload::kOff;
  return RunCommand(command);
}

class Examples : public ::testing::TestWithParam<Example> {
 protected:
  // The books of the child that was run last.
  struct Books {
    uint64_t peak_charged_bytes;
    uint64_t overdrafts;
    uint64_t refusals;
    uint64_t spill_calls;
  };

  // A session keeps the file of the books after the process's end.
  Result Run(Environment environment, Books* books = nullptr) {
    const TemporaryFolder stats;
    Command command;
    command.arguments = {ExamplePath(GetParam().name)};
    for (const std::string& argument : GetParam().arguments) command.arguments.push_back(argument);
    command.environment = std::move(environment);
    command.environment["TASKMEM_STATS_DIR"] = stats.path();
    command.environment["TASKMEM_SESSION"] = "examples";
    const Result result = RunCommand(command);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.err, "");
    if (books != nullptr) {
      const StatsFile file(stats.path().c_str(), result.pid);
      if (!file.ok()) {
        ADD_FAILURE() << "no books of " << result.pid;
        return result;
      }
      // The one task of the process.
      const TaskBook& book = file.book(kFirstTaskSlot);
      const ReclaimBook* reclaim = file.FindReclaim(book.task_id.load());
      *books = {book.peak_charged_bytes.load(), book.overdrafts.load(), book.refusals.load(),
                reclaim->spill_calls.load()};
    }
    return result;
  }
};

TEST_P(Examples, DoTheirWorkWithATenthOfTheirData) {
  const uint64_t quota = GetParam().quota_bytes;
  Books free_books = {};
  const Result free_run = Run({}, &free_books);
  EXPECT_GE(free_books.peak_charged_bytes, 10 * quota);
  EXPECT_EQ(free_books.spill_calls, 0u);
  Books books = {};
  const Result result = Run({{"TASKMEM_QUOTA", std::to_string(quota)}}, &books);
  EXPECT_EQ(result.out, free_run.out);
  EXPECT_NE(result.out, "");
  EXPECT_LE(books.peak_charged_bytes, quota);
  EXPECT_EQ(books.overdrafts, 0u);
  EXPECT_EQ(books.refusals, 0u);
  EXPECT_GT(books.spill_calls, 0u);
}

const Example kExamples[] = {
    {"external_sort", {"4000000"}, 3 * kMiB},
    {"external_sort_cpp", {"4000000"}, 3 * kMiB},
    {"hash_aggregation", {"2000000", "800000"}, 2 * kMiB},
    {"hash_aggregation_cpp", {"2000000", "800000"}, 2 * kMiB},
};

INSTANTIATE_TEST_SUITE_P(, Examples, ::testing::ValuesIn(kExamples),
                         [](const auto& info) { return info.param.name; });

TEST(ExamplesTest, TheSortsAndTheAggregationsAgree) {
  EXPECT_EQ(RunPlain({"external_sort", "100000"}).out,
            RunPlain({"external_sort_cpp", "100000"}).out);
  EXPECT_EQ(RunPlain({"hash_aggregation", "100000", "7000"}).out,
            RunPlain({"hash_aggregation_cpp", "100000", "7000"}).out);
}

// --plugin

class Plugin : public ::testing::Test {
 protected:
  Result Run(const std::string& plugin, std::vector<std::string> arguments,
             const std::string& directory = "") {
    Command command;
    command.arguments = std::move(arguments);
    command.directory = directory;
    command.environment = {{"TASKMEM_QUOTA", "16M"}, {"TASKMEM_STATS_DIR", stats_.path()}};
    if (!plugin.empty()) command.environment["TASKMEM_PLUGIN"] = plugin;
    return RunCommand(command);
  }

  const TemporaryFolder stats_;
  const std::string program_ = ExamplePath("caching_program");
  const std::string plugin_ = ExamplePath("plugin.so");
};

TEST_F(Plugin, GivesAProgramAHookWithoutChangingIt) {
  const Result without = Run("", {program_, "300"});
  EXPECT_EQ(without.exit_status, 1) << without.Describe();
  const Result free_run = RunPlain({"caching_program", "300"});
  const Result with = Run(plugin_, {program_, "300"});
  EXPECT_TRUE(with.Succeeded()) << with.Describe();
  EXPECT_EQ(with.out, free_run.out);
  EXPECT_EQ(with.err, "");
}

TEST_F(Plugin, IsInheritedAndFoundBesideTheProgramsDirectory) {
  const std::string folder = std::filesystem::path(plugin_).parent_path();
  const Result result = Run("plugin.so", {"sh", "-c", "\"$0\" 300; exit $?", program_}, folder);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

TEST_F(Plugin, ThatCannotWorkIsNamedAndTheProgramGoesOn) {
  const Result missing = Run("/nowhere/plugin.so", {"true"});
  EXPECT_TRUE(missing.Succeeded());
  EXPECT_TRUE(missing.err.starts_with("taskmem: cannot load /nowhere/plugin.so for --plugin: "))
      << missing.err;
  const Result no_plugin = Run("libm.so.6", {"true"});
  EXPECT_TRUE(no_plugin.Succeeded());
  EXPECT_EQ(no_plugin.err,
            "taskmem: libm.so.6, named by --plugin, has no function taskmem_plugin_init(); going "
            "on without it\n");
}

}  // namespace
}  // namespace taskmem::test
