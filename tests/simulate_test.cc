// `taskmem simulate`: of recordings of real runs, against what happened, and against real runs
// under other limits.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"
#include "tools/recording/recording.h"

namespace taskmem::test {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class SimulateTest : public CommandFolder {
 protected:
  Result Try(const std::string& script) {
    return Shell("cd $FOLDER; " + script,
                 {{"TASKMEM_STATS_DIR", At("stats")}, {"PROGRAM", ProgramPath("paced_growth")}});
  }

  // What the program wrote.
  struct Run {
    int first = 0;
    int refused = 0;
    std::vector<uint64_t> times_ns;  // of its steps
  };
  Run RunIt(const std::string& options, const std::string& arguments) {
    const Result result =
        Try("taskmem run --quiet --task-by none " + options + " -- $PROGRAM " + arguments);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    Run run;
    std::istringstream out(result.out);
    out >> run.first >> run.refused;
    for (uint64_t time_ns = 0; out >> time_ns;) run.times_ns.push_back(time_ns);
    return run;
  }

  nlohmann::json Simulated(const std::string& options) {
    const Result result = Try("taskmem simulate r --json " + options);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    return nlohmann::json::parse(result.out, nullptr, false)["cases"];
  }

  Recording Recorded() {
    std::string error;
    auto recording = ReadRecording(At("r"), &error);
    EXPECT_TRUE(recording) << error;
    return recording ? *std::move(recording) : Recording();
  }

  // Under the limits of then: the same first refusal, as often, of the same tasks.
  void ExpectWhatHappened() {
    const Recording recording = Recorded();
    const nlohmann::json one = Simulated("")[0];
    uint64_t refusals = 0;
    const RecordedEvent* first = nullptr;
    for (const RecordedEvent& event : recording.events) {
      if (event.kind != EventKind::kRefusal) continue;
      if (first == nullptr) first = &event;
      ++refusals;
    }
    ASSERT_NE(first, nullptr);
    ASSERT_FALSE(one["first"].is_null()) << one;
    EXPECT_EQ(one["first"]["time_us"], first->us);
    EXPECT_EQ(one["first"]["task"], *first->task);
    EXPECT_EQ(one["first"]["by"], (first->flags & kEventByQuota) != 0 ? "quota" : "memory");
    EXPECT_EQ(one["first"]["end"], "refused");
    EXPECT_EQ(one["times"], refusals);
    EXPECT_EQ(one["refused_times"], refusals);
  }
};

int StepsAtLook(const Recording& recording, int64_t us) {
  uint64_t held = 0;
  for (const RecordedTask& task : recording.tasks) {
    if (task.IsTask()) held += ValueAt(task.charged, us);
  }
  return static_cast<int>(held / kMiB);
}

// How far that step is from those that had been taken by then, of all tasks. What came between two
// looks has no order in a recording: on a loaded machine that is more than a few steps.
int StepsFrom(const Recording& recording, int64_t us, int step) {
  const auto after = std::upper_bound(recording.times.begin(), recording.times.end(), us);
  const int64_t until = after != recording.times.end() ? *after : us;
  const int64_t since = after != recording.times.begin() ? *std::prev(after) : 0;
  const int most = StepsAtLook(recording, until);
  const int least = StepsAtLook(recording, since);
  return step > most ? step - most : step < least ? least - step : 0;
}

// One run without a limit says where each of 20 others is refused first, to 5 % of the steps.
TEST_F(SimulateTest, FindsTheFirstRefusalOfRunsWithOtherQuotas) {
  const unsigned seed = std::random_device()() % 1'000'000;
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  constexpr int kSteps = 200;
  EXPECT_EQ(RunIt("--record r", "200 1").refused, 0);
  const Recording recording = Recorded();
  std::string quotas;
  std::vector<Run> runs;
  for (int i = 0; i < 20; ++i) {
    const std::string quota = std::to_string(5 + random() % 220) + "M";
    runs.push_back(RunIt("--quota " + quota, "200 1"));
    quotas += (i == 0 ? "" : ",") + quota;
  }
  const nlohmann::json cases = Simulated("--quota " + quotas);
  ASSERT_EQ(cases.size(), runs.size() + 1);
  EXPECT_TRUE(cases[0]["first"].is_null()) << cases[0];
  for (size_t i = 0; i < runs.size(); ++i) {
    const nlohmann::json& one = cases[i + 1];
    ASSERT_EQ(one["first"].is_null(), runs[i].first < 0) << one;
    if (runs[i].first < 0) continue;
    EXPECT_LE(StepsFrom(recording, one["first"]["time_us"], runs[i].first), kSteps / 20)
        << one << ' ' << runs[i].first;
    EXPECT_EQ(one["first"]["by"], "quota");
  }
}

// What is held grows and shrinks: it is not refused where it has come to the quota, but where it
// comes to it first.
TEST_F(SimulateTest, FindsTheFirstRefusalOfWhatGrowsAndShrinks) {
  const unsigned seed = std::random_device()() % 1'000'000;
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  constexpr int kSteps = 440;  // waves of 8, 16, ... 80 MiB
  const Run recorded = RunIt("--record r", "440 1 waves");
  ASSERT_EQ(recorded.times_ns.size(), size_t{kSteps});
  const Recording recording = Recorded();
  const auto steps_until = [&](int64_t us) {
    const uint64_t ns = recording.monotonic_ns + static_cast<uint64_t>(us) * 1000;
    return std::upper_bound(recorded.times_ns.begin(), recorded.times_ns.end(), ns) -
           recorded.times_ns.begin();
  };
  for (int i = 0; i < 10; ++i) {
    const std::string quota = std::to_string(4 + random() % 84) + "M";
    const Run run = RunIt("--quota " + quota, "440 1 waves");
    const nlohmann::json one = Simulated("--quota " + quota)[1];
    ASSERT_EQ(one["first"].is_null(), run.first < 0) << one;
    if (run.first < 0) continue;
    // It is between two looks, for all that the recording knows.
    const int64_t us = one["first"]["time_us"];
    const auto after = std::upper_bound(recording.times.begin(), recording.times.end(), us);
    const int64_t until = after != recording.times.end() ? *after : recording.end_us;
    const int64_t since = after != recording.times.begin() ? *std::prev(after) : 0;
    EXPECT_GE(run.first, steps_until(since) - kSteps / 20) << one;
    EXPECT_LE(run.first, steps_until(until) + kSteps / 20) << one;
  }
}

// Several tasks that share memory.
TEST_F(SimulateTest, FindsTheFirstRefusalOfRunsWithLessMemory) {
  constexpr int kSteps = 200;
  EXPECT_EQ(RunIt("--record r", "200 3").refused, 0);
  const Recording recording = Recorded();
  for (const char* memory : {"40M", "90M", "150M"}) {
    const Run run = RunIt(std::string("--memory ") + memory, "200 3");
    const nlohmann::json one = Simulated(std::string("--memory ") + memory)[1];
    ASSERT_GE(run.first, 0);
    ASSERT_FALSE(one["first"].is_null()) << one;
    EXPECT_LE(StepsFrom(recording, one["first"]["time_us"], run.first), kSteps / 20)
        << one << ' ' << run.first;
    EXPECT_EQ(one["first"]["by"], "memory");
  }
}

TEST_F(SimulateTest, UnderTheRecordedQuotaItIsWhatHappened) {
  EXPECT_GT(RunIt("--quota 40M --record r", "100 1").refused, 10);
  ExpectWhatHappened();
}

TEST_F(SimulateTest, UnderTheRecordedMemoryItIsWhatHappened) {
  EXPECT_GT(RunIt("--memory 60M --record r", "100 2").refused, 10);
  ExpectWhatHappened();
}

// With the quota that was found all find room; with less than a step less not.
TEST_F(SimulateTest, FindsTheLeastQuota) {
  RunIt("--record r", "60 1");
  const nlohmann::json found = Simulated("--find");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_TRUE(found[1]["first"].is_null()) << found;
  const uint64_t quota = found[1]["quota_bytes"];
  uint64_t peak = 0;
  for (const RecordedTask& task : Recorded().tasks) {
    if (task.IsTask()) peak = std::max(peak, task.peak_bytes);
  }
  EXPECT_GE(quota, peak);
  EXPECT_LT(quota, peak + 128 * 1024);
  EXPECT_EQ(RunIt("--quota " + std::to_string(quota), "60 1").refused, 0);
  const nlohmann::json less = Simulated("--quota " + std::to_string(quota - 128 * 1024));
  EXPECT_FALSE(less[1]["first"].is_null()) << less;
}

TEST_F(SimulateTest, DrawsAPicture) {
  // On a loaded machine so short a program may have ended before the recorder finds it.
  do {
    RunIt("--record r", "20 1");
  } while (!Try("test -s r").Succeeded());
  const Result result = Try("taskmem simulate r --quota 5M,50M --plot r.svg && cat r.svg >&2");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.err.starts_with("<svg ")) << result.err;
  EXPECT_NE(result.err.find("quota 5.0 MiB: first refused at"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("quota 50.0 MiB: all found room"), std::string::npos) << result.err;
}

TEST_F(SimulateTest, BadInputIsOneLine) {
  RunIt("--record r", "2 1");
  folder_.Write("text", "no recording");
  const struct {
    const char* arguments;
    int status;
    const char* text;
  } kBad[] = {
      {"", 2, "FILE"},
      {"nowhere", 1, "cannot read nowhere"},
      {"text", 1, "it is no recording of taskmem"},
      {"r --quota", 2, "--quota"},
      {"r --quota 0", 2, "bad value '0' for --quota"},
      {"r --quota 5M,,6M", 2, "bad value '' for --quota"},
      {"r --quota 5M,", 2, "bad value '' for --quota"},
      {"r --quota 5Q", 2, "bad value '5Q' for --quota"},
      {"r --memory 0", 2, "bad value '0' for --memory"},
      {"r --memory container", 2, "expected a size or none"},
      {"r --share equal", 2, "bad value 'equal' for --share"},
      {"r --storage-fraction 1", 2, "bad value '1' for --storage-fraction"},
      {"r --find --quota 5M", 2, "leave out --quota"},
      {"r --find=1", 2, "find"},
      {"r --plot nowhere/x.svg", 2, "cannot write nowhere/x.svg"},
      {"r -o nowhere/x", 2, "cannot write nowhere/x"},
      {"r -o ./r", 2, "cannot write ./r: it is the file that is read"},
      {"r --plot r", 2, "cannot write r: it is the file that is read"},
      {"r --speed 3", 2, "--speed"},
  };
  for (const auto& [arguments, status, text] : kBad) {
    const Result result = Try(std::string("taskmem simulate ") + arguments);
    EXPECT_EQ(result.exit_status, status) << arguments << result.Describe();
    EXPECT_EQ(result.out, "") << arguments;
    ASSERT_EQ(Lines(result.err).size(), 1u) << arguments << result.Describe();
    EXPECT_NE(result.err.find(text), std::string::npos) << arguments << result.Describe();
  }
}

}  // namespace
}  // namespace taskmem::test
