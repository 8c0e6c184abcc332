#include "tools/top/top_screen.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tools/base/cells.h"
#include "tools/top/top_viewer.h"

namespace taskmem {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kSecond = 1'000'000'000;

TaskStats Task(uint64_t id, const std::string& name, uint64_t charged, uint64_t quota) {
  TaskStats task;
  task.id = id;
  task.name = name;
  task.charged_bytes = charged;
  task.peak_charged_bytes = charged;
  task.quota_bytes = quota;
  return task;
}

ProcessStats Process(pid_t pid, std::vector<TaskStats> tasks) {
  ProcessStats process;
  process.pid = pid;
  process.start_time = 7;
  process.title = "engine --fast";
  process.pools.memory_bytes = 1000 * kMiB;
  process.pools.execution_size_bytes = 500 * kMiB;
  process.pools.execution_used_bytes = 250 * kMiB;
  process.pools.storage_used_bytes = 100 * kMiB;
  process.pools.unmanaged_bytes = 50 * kMiB;
  process.tasks = std::move(tasks);
  return process;
}

class NoActions : public TopActions {
 public:
  std::string Ask(pid_t pid, const Change& change) override {
    asked.push_back(change);
    return fmt::format("asked {}", pid);
  }
  std::optional<Audit> TakeAudit(pid_t, std::string* error) override {
    if (!audit) *error = "no audit here";
    return audit;
  }
  ReclaimTables ReadTables(pid_t) override { return tables; }
  std::optional<Audit> audit;
  ReclaimTables tables;
  std::vector<Change> asked;
};

class TopTest : public ::testing::Test {
 protected:
  void Look(std::vector<ProcessStats> processes) {
    time_ns_ += kSecond;
    viewer_.model().Update(std::move(processes), time_ns_);
    viewer_.Settle(size_);
  }
  void Type(const std::string& text) {
    for (const char c : text) {
      if (c == '\n') {
        viewer_.Press({Key::kEnter}, size_);
      } else {
        viewer_.Press({Key::kCharacter, c}, size_);
      }
    }
  }
  std::string Text() { return PlainText(viewer_.Draw(size_)); }
  std::vector<std::string> Lines() {
    std::istringstream stream(Text());
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }
  // Names in the order of the screen.
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const TopTask& task : viewer_.model().rows()) names.push_back(task.name);
    return names;
  }

  NoActions actions_;
  TopViewer viewer_{&actions_};
  ScreenSize size_;
  uint64_t time_ns_ = 0;
};

TEST_F(TopTest, AScreenOf80ColumnsHasEachColumn) {
  viewer_.view().time = "12:00:00";
  Look({Process(42, {Task(7, "query seven", 50 * kMiB, 100 * kMiB)})});
  std::vector<ProcessStats> later = {Process(42, {Task(7, "query seven", 75 * kMiB, 100 * kMiB)})};
  later[0].tasks[0].refusals = 3;
  later[0].tasks[0].reclaim.spill_freed_bytes = 5 * kMiB;
  later[0].tasks[0].reclaim.overflow_bytes = 6 * kMiB;
  later[0].tasks[0].reclaim.stall_ns = 1'500'000'000;
  Look(later);
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 24u);
  for (const std::string& line : lines) EXPECT_LE(CellsOf(line), 80u) << line;
  EXPECT_NE(lines[1].find("pid 42 engine --fast"), std::string::npos) << lines[1];
  EXPECT_EQ(lines[2],
            "[EEEEEEEEEEEEEEEEEEEEUUUU...............|..............................SSSSSSSS]");
  EXPECT_NE(lines[3].find("memory 0.98G: Execution 250M, Storage 100M, Unmanaged 50.0M, free 600M"),
            std::string::npos)
      << lines[3];
  EXPECT_EQ(lines[5],
            "     TASK NAME           HELDv    QUOTA   PEAK     +/S   REF  SPILL   OVER STALL");
  EXPECT_EQ(lines[6],
            "        7 query seven    75.0M ##.  75%  75.0M  +25.0M     3  5.00M  6.00M  1.5s");
  EXPECT_NE(lines[22].find("▆█"), std::string::npos) << lines[22];
  EXPECT_TRUE(lines[23].starts_with("q quit  h help")) << lines[23];
}

TEST_F(TopTest, RowsAreSortedByEachColumn) {
  std::vector<ProcessStats> processes = {
      Process(1, {Task(1, "b", 30, 30), Task(2, "c", 10, 1000), Task(3, "a", 20, 100)})};
  processes[0].tasks[0].refusals = 1;
  processes[0].tasks[1].refusals = 3;
  Look(processes);
  EXPECT_EQ(Names(), (std::vector<std::string>{"b", "a", "c", "untracked"}));
  viewer_.model().SortBy(TopColumn::kRefused);
  EXPECT_EQ(Names(), (std::vector<std::string>{"c", "b", "a", "untracked"}));
  viewer_.model().SortBy(TopColumn::kName);
  EXPECT_EQ(Names(), (std::vector<std::string>{"a", "b", "c", "untracked"}));
  Type("r");
  EXPECT_EQ(Names(), (std::vector<std::string>{"untracked", "c", "b", "a"}));
  Type("<r");
  EXPECT_EQ(Names(), (std::vector<std::string>{"b", "c", "a", "untracked"}));
}

TEST_F(TopTest, AFilterLeavesWhatHasTheText) {
  Look({Process(1, {Task(70, "Query one", 30, 30), Task(8, "other", 10, 1000)})});
  Type("/query\n");
  EXPECT_EQ(Names(), std::vector<std::string>{"Query one"});
  EXPECT_NE(Text().find("1 row of 3 with 'query'"), std::string::npos) << Text();
  Type("/8\n");
  EXPECT_EQ(Names(), std::vector<std::string>{"other"});
  Type("/\n");
  EXPECT_EQ(Names().size(), 3u);
}

TEST_F(TopTest, TheSelectionStaysWithItsTask) {
  Look({Process(1, {Task(1, "a", 30, 30), Task(2, "b", 10, 1000)})});
  viewer_.Press({Key::kDown}, size_);
  EXPECT_EQ(viewer_.view().selected->id, 2u);
  Look({Process(1, {Task(1, "a", 30, 30), Task(2, "b", 100, 1000)})});
  EXPECT_EQ(viewer_.view().selected->id, 2u);
  EXPECT_EQ(Names().front(), "b");
  // It ends: the next one takes its place.
  Look({Process(1, {Task(1, "a", 30, 30)})});
  EXPECT_EQ(viewer_.view().selected->id, 1u);
}

TEST_F(TopTest, ChangesAreAskedFor) {
  Look({Process(1, {Task(7, "a", 30, 30)})});
  Type("u64M\n");
  Type("s\n");
  Type("s1M\n");
  Type("en\n");
  Type("ey\n");
  ASSERT_EQ(actions_.asked.size(), 4u);
  EXPECT_EQ(actions_.asked[0].kind, ChangeKind::kTaskQuota);
  EXPECT_EQ(actions_.asked[0].bytes, 64 * kMiB);
  EXPECT_EQ(actions_.asked[0].task, 7u);
  EXPECT_EQ(actions_.asked[1].bytes, UINT64_MAX);
  EXPECT_EQ(actions_.asked[2].kind, ChangeKind::kTaskSpill);
  EXPECT_EQ(actions_.asked[2].bytes, kMiB);
  EXPECT_EQ(actions_.asked[3].bytes, 1u);
  EXPECT_NE(Text().find("asked 1"), std::string::npos) << Text();
  Type("ubig\n");
  EXPECT_NE(Text().find("'big' is no size such as 64M"), std::string::npos) << Text();
  // What is no task is not asked.
  viewer_.Press({Key::kEnd}, size_);
  Type("u1M\n");
  EXPECT_EQ(actions_.asked.size(), 4u);
}

TEST_F(TopTest, WhatIsTypedIsForTheTaskItBeganWith) {
  Look({Process(1, {Task(7, "a", 30, 30), Task(8, "b", 20, 30)})});
  Type("u64");
  EXPECT_NE(Text().find("quota of task 7 "), std::string::npos) << Text();
  // It ends: the other one is selected now, and is not what was typed about.
  Look({Process(1, {Task(8, "b", 20, 30)})});
  EXPECT_EQ(viewer_.view().selected->id, 8u);
  EXPECT_NE(Text().find("quota of task 7 "), std::string::npos) << Text();
  Type("M\n");
  EXPECT_TRUE(actions_.asked.empty());
  EXPECT_NE(Text().find("the task is gone"), std::string::npos) << Text();
  Type("u1M\n");
  ASSERT_EQ(actions_.asked.size(), 1u);
  EXPECT_EQ(actions_.asked[0].task, 8u);
}

TEST_F(TopTest, TheHelpFitsTheSmallestScreen) {
  Look({Process(1, {Task(7, "a", 30, 30)})});
  Type("h");
  EXPECT_NE(Text().find("another task"), std::string::npos) << Text();
  EXPECT_NE(Text().find("where the two pools meet."), std::string::npos) << Text();
}

TEST_F(TopTest, OneTaskAloneAndBack) {
  Look({Process(1, {Task(7, "alone", 30, 30)})});
  Type("\n");
  EXPECT_NE(Text().find("task           7  alone"), std::string::npos) << Text();
  EXPECT_NE(Text().find("overflow       0 B, peak 0 B"), std::string::npos) << Text();
  Type("a");
  EXPECT_NE(Text().find("no audit here"), std::string::npos) << Text();
  Audit audit;
  audit.tasks.push_back({4, 7, "alone", false, 90 << 20, 80 << 20, 5 << 20, {}});
  audit.tasks[0].sizes = {{48, 60 << 20}, {1024, 20 << 20}};
  audit.sites.is_on = true;
  actions_.audit = audit;
  Type("a");
  EXPECT_NE(Text().find("in memory      blocks 80.0 MiB, mappings 5.0 MiB"), std::string::npos)
      << Text();
  EXPECT_NE(Text().find("60.0 MiB in blocks of 48 B, 20.0 MiB in blocks of 1.0 KiB"),
            std::string::npos)
      << Text();
  EXPECT_EQ(Text().find("CONSUMERS"), std::string::npos) << Text();
  actions_.tables.consumers = {{4, "sorter", 3 << 20, true, false, true},
                               {4, "", 1 << 20, false, true, false},
                               {5, "of another task", 9 << 20, false, false, false}};
  for (uint64_t i = 0; i < 6; ++i) {
    actions_.tables.consumers.push_back({4, "bad\033\nname", i << 10, false, false, false});
  }
  Type("a");
  EXPECT_NE(Text().find("   3.0 MiB  sorter, on a thread of taskmem's, is being asked"),
            std::string::npos)
      << Text();
  EXPECT_NE(Text().find("   1.0 MiB  without a name, on the task's thread, waits to be asked"),
            std::string::npos)
      << Text();
  viewer_.Press({Key::kPageDown}, size_);
  EXPECT_NE(Text().find("   3.0 KiB  of 3 more"), std::string::npos) << Text();
  EXPECT_EQ(Text().find("another task"), std::string::npos) << Text();
  EXPECT_EQ(Text().find('\033'), std::string::npos);
  Type("q");
  EXPECT_NE(Text().find("NAME"), std::string::npos) << Text();
  EXPECT_FALSE(viewer_.Press({Key::kCharacter, 'q'}, size_));
}

// Each of its lines is on one of the pages.
TEST_F(TopTest, OneTaskOnSeveralPages) {
  Audit audit;
  audit.tasks.push_back({4, 7, "alone", false, 90 << 20, 80 << 20, 5 << 20, {}});
  audit.sites.is_on = true;
  actions_.audit = audit;
  for (uint64_t i = 0; i < 5; ++i) {
    actions_.tables.consumers.push_back(
        {4, fmt::format("hook {}", i), (9 - i) << 20, false, false, false});
  }
  Look({Process(1, {Task(7, "alone", 30, 30), Task(8, "other", 20, 20)})});
  for (const size_t lines : {24, 17, 14, 10}) {
    size_ = {80, lines};
    Type("\na");
    std::string seen;
    for (int page = 0; page < 30; ++page) {
      EXPECT_EQ(Lines().size(), lines);
      seen += Text();
      viewer_.Press({Key::kPageDown}, size_);
    }
    for (const char* text :
         {"task           7  alone", "holds  ", "works  ", "refused  ", "blocks  ", "overflow  ",
          "stalled  ", "in memory  ", "CONSUMERS", "hook 0", "hook 1", "hook 2", "hook 3", "hook 4",
          "SITES", "holds too little"}) {
      EXPECT_NE(seen.find(text), std::string::npos) << lines << ": " << text;
    }
    // The last page is full, and has nothing below it.
    EXPECT_NE(Text().find("holds too little"), std::string::npos) << Text();
    EXPECT_EQ(Text().find("more lines"), std::string::npos) << Text();
    for (int page = 0; page < 30; ++page) viewer_.Press({Key::kPageUp}, size_);
    EXPECT_NE(Text().find("task           7  alone"), std::string::npos) << Text();
    EXPECT_NE(Text().find(" more lines: page down"), std::string::npos) << Text();
    // Another task begins at its first line.
    viewer_.Press({Key::kPageDown}, size_);
    viewer_.Press({Key::kDown}, size_);
    EXPECT_NE(Text().find("task           8  other"), std::string::npos) << Text();
    viewer_.Press({Key::kUp}, size_);
    Type("q");
  }
}

TEST_F(TopTest, NamesDoNotReachTheTerminal) {
  std::vector<ProcessStats> processes = {Process(1, {Task(7, "bad\033[2J\nname\xff", 30, 30)})};
  processes[0].title = "title\033]0;x\007";
  processes[0].label = "\033[31m";
  Look(processes);
  for (const char* keys : {"", "\n", "qh", "x/\033\n"}) {
    Type(keys);
    const std::string text = Text();
    for (const char c : text) {
      EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= ' ') << keys << text;
      EXPECT_NE(c, '\x7f');
    }
  }
}

TEST_F(TopTest, AnySizeHasAScreen) {
  std::vector<TaskStats> tasks;
  for (uint64_t i = 0; i < 300; ++i) {
    tasks.push_back(Task(i, fmt::format("a long name of a query, the {}th", i), i * kMiB, kMiB));
  }
  Look({Process(1, tasks), Process(4194303, tasks)});
  for (const size_t columns : {80, 81, 100, 132, 200, 500}) {
    for (const size_t lines : {24, 25, 50, 300}) {
      size_ = {columns, lines};
      viewer_.Settle(size_);
      const std::vector<std::string> screen = Lines();
      EXPECT_EQ(screen.size(), lines);
      for (const std::string& line : screen) {
        EXPECT_LE(CellsOf(line), columns) << line;
      }
    }
  }
  // Smaller ones are cut, but do not harm.
  for (const size_t columns : {1, 2, 5, 10, 40}) {
    size_ = {columns, 3};
    viewer_.Settle(size_);
    EXPECT_LE(Lines().size(), 3u);
  }
}

TEST_F(TopTest, PagesAndEndsOfALongList) {
  std::vector<TaskStats> tasks;
  for (uint64_t i = 1; i <= 10'000; ++i) tasks.push_back(Task(i, "t", i, kMiB));
  Look({Process(1, tasks)});
  EXPECT_EQ(viewer_.view().selected->id, 10'000u);
  viewer_.Press({Key::kPageDown}, size_);
  EXPECT_EQ(viewer_.view().selected->id, 10'000u - 16);
  viewer_.Press({Key::kEnd}, size_);
  EXPECT_EQ(viewer_.view().selected->name, "untracked");
  EXPECT_NE(Text().find("untracked"), std::string::npos);
  viewer_.Press({Key::kHome}, size_);
  EXPECT_EQ(viewer_.view().selected->id, 10'000u);
}

TEST(ShortBytes, HasAtMostSixCharacters) {
  EXPECT_EQ(ShortBytes(0), "0");
  EXPECT_EQ(ShortBytes(999), "999");
  EXPECT_EQ(ShortBytes(1536), "1.50K");
  EXPECT_EQ(ShortBytes(64 * kMiB), "64.0M");
  EXPECT_EQ(ShortBytes(1000 * kMiB), "0.98G");
  for (uint64_t bytes = 1; bytes < uint64_t{1} << 62; bytes = bytes * 3 + 1) {
    EXPECT_LE(ShortBytes(bytes).size(), 6u) << bytes;
  }
}

TEST(SparklineOf, IsOfEighths) {
  EXPECT_EQ(Sparkline({0, 1, 4, 8}, 10, true), "▁▂▅█");
  EXPECT_EQ(Sparkline({0, 1, 4, 8}, 2, false), "+@");
  EXPECT_EQ(Sparkline({}, 10, true), "");
  EXPECT_EQ(Sparkline({0, 0}, 10, true), "▁▁");
}

}  // namespace
}  // namespace taskmem
