// `taskmem run --record` and `taskmem record`: what is recorded is what the books said.
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"
#include "tools/recording/recording.h"

namespace taskmem::test {
namespace {

constexpr uint64_t kTask = 1'000'000'000;

class RecordTest : public CommandFolder {
 protected:
  Result Try(const std::string& script, Environment environment = {}) {
    environment["TASKMEM_STATS_DIR"] = At("stats");
    environment.try_emplace("PROGRAM", ProgramPath("recorded"));
    return Shell("cd $FOLDER; " + script, environment);
  }

  std::optional<Recording> Read(const std::string& name) {
    std::string error;
    auto recording = ReadRecording(At(name), &error);
    EXPECT_TRUE(recording) << error;
    return recording;
  }
};

const RecordedTask* FindTask(const Recording& recording, uint64_t id) {
  for (const RecordedTask& task : recording.tasks) {
    if (task.id == id) return &task;
  }
  return nullptr;
}

std::vector<uint64_t> Numbers(const std::string& text, const std::string& word) {
  std::vector<uint64_t> numbers;
  for (const std::string& line : Lines(text)) {
    if (line.starts_with(word + " ")) numbers.push_back(std::stoull(line.substr(word.size())));
  }
  return numbers;
}

uint64_t Distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

// The program tells what its books said after each of 1,000 changes. What was recorded is, in
// order, some of that, to the step that FORMAT.md names.
TEST_F(RecordTest, ChargesAreThoseOfTheBooks) {
  const unsigned seed = std::random_device()() % 1'000'000;
  std::cout << "seed " << seed << '\n';
  const Result result = Try("taskmem run --quiet --task-by none --record r -- $PROGRAM $SEED 1000",
                            {{"SEED", std::to_string(seed)}});
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  const std::vector<uint64_t> charged = Numbers(result.out, "charged");
  ASSERT_EQ(charged.size(), 1000u);
  const auto recording = Read("r");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->damage, "");
  EXPECT_EQ(recording->end, EndReason::kEnded);
  EXPECT_TRUE(recording->has_events);
  EXPECT_EQ(recording->dropped_events, 0u);
  const RecordedTask* const task = FindTask(*recording, kTask);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->name, "changing");
  EXPECT_EQ(task->peak_bytes, Numbers(result.out, "peak").at(0));
  EXPECT_EQ(task->charged.back().value, charged.back());
  EXPECT_GT(task->charged.size(), 10u);
  size_t at = 0;
  for (const RecordedValue& value : task->charged) {
    while (at < charged.size() && Distance(charged[at], value.value) > value.value / 256) ++at;
    ASSERT_LT(at, charged.size()) << value.value << " at " << value.us << " us";
  }
}

TEST_F(RecordTest, WhatHappensBetweenTwoLooksIsRecorded) {
  const Result result = Try("taskmem run --quiet --task-by none --record r -- $PROGRAM 1 10");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const auto recording = Read("r");
  ASSERT_TRUE(recording);
  const RecordedTask* const refused = FindTask(*recording, kTask + 1);
  ASSERT_NE(refused, nullptr);
  ASSERT_TRUE(refused->end_us);
  EXPECT_LE(refused->begin_us, *refused->end_us);
  EXPECT_EQ(refused->Get(Counter::kRefusals), 3u);
  EXPECT_EQ(refused->quota.back().value, uint64_t{8} << 20);
  int refusals = 0;
  for (const RecordedEvent& event : recording->events) {
    if (event.kind != EventKind::kRefusal) continue;
    ++refusals;
    EXPECT_GE(event.bytes, uint64_t{16} << 20);
    EXPECT_EQ(event.limit, uint64_t{8} << 20);
    EXPECT_NE(event.flags & kEventByQuota, 0u);
    ASSERT_TRUE(event.task);
    EXPECT_EQ(recording->tasks[*event.task].id, kTask + 1);
    EXPECT_GE(event.us, refused->begin_us);
    EXPECT_LE(event.us, *refused->end_us);
  }
  EXPECT_EQ(refusals, 3);
  const RecordedTask* const brief = FindTask(*recording, kTask + 2);
  ASSERT_NE(brief, nullptr);
  ASSERT_TRUE(brief->end_us);
  EXPECT_GE(brief->charged.back().value, uint64_t{3} << 20) << "what it left behind";
  EXPECT_GE(brief->peak_bytes, uint64_t{3} << 20);
}

// What runs in the place of the program that was started is recorded, too.
TEST_F(RecordTest, AnExecGoesOnInTheSameFile) {
  const Result result =
      Try("taskmem run --quiet --task-by none --record r -- sh -c 'exec $PROGRAM 1 300'");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const auto recording = Read("r");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->end, EndReason::kEnded);
  const RecordedTask* const task = FindTask(*recording, kTask);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->charged.back().value, Numbers(result.out, "charged").back());
}

// The same of a process that runs already.
TEST_F(RecordTest, AnExecOfARunningProcessGoesOnInTheSameFile) {
  const Result result =
      Try("export TASKMEM_TASK_BY=none\n"
          "LD_PRELOAD=$FOLDER/libtaskmem.so sh -c "
          "'until [ -e go ]; do sleep 0.01; done; exec $PROGRAM 1 1500' >out & program=$!\n"
          "until taskmem stats $program >/dev/null 2>&1; do sleep 0.05; done\n"
          "taskmem record $program -o r & recorder=$!\n"
          "until [ \"$(wc -c 2>/dev/null <r)\" -gt 100 ] 2>/dev/null; do sleep 0.05; done\n"
          "touch go; wait $program && wait $recorder && cat out");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const auto recording = Read("r");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->executions, 1u);
  EXPECT_EQ(recording->end, EndReason::kEnded);
  const RecordedTask* const task = FindTask(*recording, kTask);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->charged.back().value, Numbers(result.out, "charged").back());
}

// Each recorder has all of it, whenever the other ends.
TEST_F(RecordTest, TwoRecordersOfAProcessDoNotDisturbEachOther) {
  const Result result = Try(
      "LD_PRELOAD=$FOLDER/libtaskmem.so TASKMEM_TASK_BY=none $PROGRAM 1 1000 >out & program=$!\n"
      "until taskmem stats $program >/dev/null 2>&1; do sleep 0.05; done\n"
      "taskmem record $program -o whole & recorder=$!\n"
      "taskmem record $program --for 500ms -o part; wait $recorder; wait $program && cat out");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(Read("part"));
  const auto whole = Read("whole");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->dropped_events, 0u);
  const RecordedTask* const task = FindTask(*whole, kTask);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->charged.back().value, Numbers(result.out, "charged").back());
  EXPECT_NE(FindTask(*whole, kTask + 2), nullptr) << "began and ended between two looks";
}

// A recorder that is killed leaves what it had written.
TEST_F(RecordTest, ARecorderThatIsKilledLeavesAReadableFile) {
  const Result result = Try(
      "LD_PRELOAD=$FOLDER/libtaskmem.so TASKMEM_TASK_BY=none $PROGRAM 1 2000 >out & program=$!\n"
      "until taskmem stats $program >/dev/null 2>&1; do sleep 0.05; done\n"
      "taskmem record $program -o r & recorder=$!\n"
      "until [ \"$(wc -c 2>/dev/null <r)\" -gt 1000 ] 2>/dev/null; do sleep 0.05; done\n"
      "kill -9 $recorder; wait $recorder 2>/dev/null; wait $program && cat out");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(Numbers(result.out, "charged").size(), 2000u) << "the program was disturbed";
  const auto recording = Read("r");
  ASSERT_TRUE(recording);
  EXPECT_EQ(recording->end, EndReason::kUnknown);
  EXPECT_NE(FindTask(*recording, kTask), nullptr);
  const Result report = Try("taskmem report r --text");
  EXPECT_TRUE(report.Succeeded()) << report.Describe();
  EXPECT_NE(report.out.find("the recorder was killed"), std::string::npos) << report.out;
}

TEST_F(RecordTest, AnotherProcessIsRecordedUntilItEndsOrItIsEnough) {
  const Result result = Try(
      "LD_PRELOAD=$FOLDER/libtaskmem.so TASKMEM_TASK_BY=none $PROGRAM 1 1000 >out & program=$!\n"
      "until taskmem stats $program >/dev/null 2>&1; do sleep 0.05; done\n"
      "taskmem record $program --for 100ms && taskmem record $program -o whole; wait $program\n"
      "mv taskmem-$program.recording part; cat out");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const auto part = Read("part");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->end, EndReason::kStopped);
  const auto whole = Read("whole");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->end, EndReason::kEnded);
  const RecordedTask* const task = FindTask(*whole, kTask);
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->charged.back().value, Numbers(result.out, "charged").back());
  EXPECT_EQ(task->peak_bytes, Numbers(result.out, "peak").at(0));
}

// The last frames of a recording that goes on are no damage.
TEST_F(RecordTest, ReportsShowDamageInOneLine) {
  ASSERT_TRUE(Try("taskmem run --quiet --task-by none --record r -- $PROGRAM 1 1000").Succeeded());
  std::filesystem::resize_file(At("r"), std::filesystem::file_size(At("r")) * 2 / 3);
  const Result result = Try("taskmem report r --text");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  ASSERT_EQ(Lines(result.err).size(), 1u) << result.Describe();
  EXPECT_NE(result.err.find("it is cut or damaged at byte"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("recording of"), std::string::npos) << result.out;
}

TEST_F(RecordTest, BadInputIsOneLineAndStartsNothing) {
  folder_.Write("text", "no recording");
  ASSERT_EQ(mkfifo(At("fifo").c_str(), 0600), 0);
  const struct {
    const char* script;
    int status;
    const char* text;
  } kBad[] = {
      {"taskmem run --record nowhere/r -- echo started", 2, "cannot record into nowhere/r"},
      {"taskmem run --record / -- echo started", 2, "cannot record into /"},
      {"taskmem run --record /dev/full -- echo started", 2,
       "cannot record into /dev/full: it is no regular file"},
      {"taskmem run --record fifo -- echo started", 2,
       "cannot record into fifo: it is no regular file"},
      {"taskmem run --record= -- echo started", 2, "no value"},
      {"taskmem record", 2, "PID"},
      {"taskmem record me", 2, "PID"},
      {"taskmem record -1", 1, "no process -1 under taskmem"},
      {"taskmem record 1 2", 2, ""},
      {"taskmem record 1", 1, "no process 1 under taskmem"},
      {"taskmem record 4194305", 1, "no process 4194305"},
      {"taskmem record 1 --for never", 2, "bad value 'never' for --for"},
      {"taskmem record 1 --for 0", 2, "bad value '0' for --for"},
      {"taskmem record 1 --for", 2, "--for"},
      {"taskmem record 1 --output", 2, "--output"},
      {"taskmem report", 2, "FILE"},
      {"taskmem report nowhere", 1, "cannot read nowhere: No such file"},
      {"taskmem report .", 1, "cannot read .: it is no regular file"},
      {"taskmem report /dev/zero", 1, "it is no regular file"},
      {"taskmem report text", 1, "it is no recording of taskmem"},
      {"taskmem report text --at soon", 2, "bad value 'soon' for --at"},
      {"taskmem report text --json -o nowhere/x", 2, "cannot write nowhere/x"},
      {"taskmem report text --pprof nowhere/x", 2, "cannot write nowhere/x"},
      {"taskmem report text -o ./text", 2, "cannot write ./text: it is the file that is read"},
      {"taskmem report text --pprof text", 2, "cannot write text: it is the file that is read"},
      {"taskmem report text --frames", 2, "--frames"},
      {"taskmem report text --text --json", 2, "--text and --json exclude each other"},
  };
  for (const auto& [script, status, text] : kBad) {
    const Result result = Try(script);
    EXPECT_EQ(result.exit_status, status) << script << result.Describe();
    EXPECT_EQ(result.out, "") << script;
    ASSERT_EQ(Lines(result.err).size(), 1u) << script << result.Describe();
    EXPECT_TRUE(result.err.starts_with("taskmem: ")) << script << result.Describe();
    EXPECT_NE(result.err.find(text), std::string::npos) << script << result.Describe();
  }
}

// Where nothing can be written any more the program goes on.
TEST_F(RecordTest, AFullDiskEndsTheRecordingOnly) {
  const Result result =
      Try("ulimit -f 1; taskmem run --quiet --task-by none --record r -- "
          "sh -c \"$PROGRAM 1 1500 | tail -n 1\"");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "refused 3\n");
}

}  // namespace
}  // namespace taskmem::test
