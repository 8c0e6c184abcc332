#include "tools/recording/task_follower.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "accounting/audit/stats_layout.h"
#include "tools/recording/recording.h"

namespace taskmem {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint32_t kSlot = kFirstTaskSlot;
constexpr uint64_t kLarge = 64 * 1024;

// The books of a process and its events, as a recorder sees them at moments after its begin.
class TaskFollowerTest : public ::testing::Test {
 protected:
  TaskFollowerTest() {
    const std::string path = path_ + ".books";
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd_, kStatsBytes), 0);
    unlink(path.c_str());
    segment_ =
        static_cast<char*>(mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    auto* const header = reinterpret_cast<StatsHeader*>(segment_);
    header->magic = kStatsMagic;
    header->version = kStatsVersion;
    header->pid = static_cast<uint32_t>(getpid());
    header->task_slots = kSlot + 1;
    PackedWriter start;
    start.Number(1).Number(1).Number(1).Number(1).Text("").Text("").Number(1).Text("").Number(1);
    file_->Add(RecordType::kStart, start);
  }
  ~TaskFollowerTest() override {
    munmap(segment_, kStatsBytes);
    close(fd_);
    unlink(path_.c_str());
  }

  void SetBook(uint64_t id, TaskState state, uint64_t charged) {
    TaskBook& book = reinterpret_cast<TaskBook*>(segment_ + kTasksOffset)[kSlot];
    book.task_id = id;
    book.state = state;
    book.charged_bytes = charged;
    book.peak_charged_bytes = std::max(book.peak_charged_bytes.load(), charged);
    book.quota_bytes = UINT64_MAX;
  }
  static Event Happens(EventKind kind, uint64_t id, uint64_t ms, uint64_t held = 0) {
    Event event = {};
    event.kind = kind;
    event.slot = kSlot;
    event.task_id = id;
    event.time_ns = ms * kMs;
    event.limit = UINT64_MAX;
    event.bytes = event.held = held;
    return event;
  }
  void Look(uint64_t ms, const std::vector<Event>& events, bool spare) {
    file_->Add(RecordType::kTime, PackedWriter().Number((ms - last_ms_) * 1000));
    last_ms_ = ms;
    tasks_.SetTime(ms * kMs);
    tasks_.FollowEvents(events, spare);
    const auto books = StatsSnapshot::Read(fd_, StatsParts::kAll);
    ASSERT_TRUE(books);
    tasks_.FollowBooks(*books, ms * kMs, true);
  }
  // The tasks that were recorded, but for those that are none.
  std::vector<RecordedTask> Tasks() {
    file_.reset();
    std::string error;
    const auto recording = ReadRecording(path_, &error);
    EXPECT_TRUE(recording) << error;
    std::vector<RecordedTask> tasks;
    if (!recording) return tasks;
    for (const RecordedTask& task : recording->tasks) {
      if (task.IsTask()) tasks.push_back(task);
    }
    return tasks;
  }

  const std::string path_ = ::testing::TempDir() + "task_follower_test." + std::to_string(getpid());
  int fd_ = -1;
  char* segment_ = nullptr;
  uint64_t last_ms_ = 0;
  std::optional<FrameWriter> file_{path_};
  TaskFollower tasks_{&*file_};
};

TEST_F(TaskFollowerTest, BeginsAndEndsHaveTheirOwnTimes) {
  SetBook(7, TaskState::kEnded, kLarge);
  Look(100, {Happens(EventKind::kTaskBegin, 7, 10), Happens(EventKind::kTaskEnd, 7, 20, kLarge)},
       false);
  const auto tasks = Tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].begin_us, 10'000);
  EXPECT_EQ(tasks[0].end_us, 20'000);
  EXPECT_EQ(tasks_.left_out(), 0u);
}

// However often the books show it.
TEST_F(TaskFollowerTest, WithoutRoomWhatHasEndedIsLeftOutAndCounted) {
  SetBook(7, TaskState::kEnded, 100);
  Look(100, {Happens(EventKind::kTaskBegin, 7, 10), Happens(EventKind::kTaskEnd, 7, 20, 100)},
       true);
  Look(200, {}, true);
  Look(300, {}, false);
  EXPECT_EQ(tasks_.left_out(), 2u);
  EXPECT_TRUE(Tasks().empty());
}

TEST_F(TaskFollowerTest, WithoutRoomWhatLeavesMuchBehindIsRecorded) {
  SetBook(7, TaskState::kEnded, kLarge);
  Look(100, {Happens(EventKind::kTaskBegin, 7, 10), Happens(EventKind::kTaskEnd, 7, 20, kLarge)},
       true);
  const auto tasks = Tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].begin_us, 10'000);
  EXPECT_TRUE(tasks[0].end_us);
  EXPECT_EQ(tasks[0].charged.back().value, kLarge);
}

// Its end was lost, and the books show the next one of its slot.
TEST_F(TaskFollowerTest, WithoutRoomWhatIsNeverSeenIsCounted) {
  SetBook(8, TaskState::kLive, kLarge);
  Look(100, {Happens(EventKind::kTaskBegin, 7, 10)}, true);
  EXPECT_EQ(tasks_.left_out(), 1u);
  const auto tasks = Tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].id, 8u);
  EXPECT_EQ(tasks[0].begin_us, 100'000);
}

TEST_F(TaskFollowerTest, WithoutRoomWhatLivesIsRecordedFromItsBeginOn) {
  SetBook(7, TaskState::kLive, 100);
  Look(100, {Happens(EventKind::kTaskBegin, 7, 10)}, true);
  EXPECT_EQ(tasks_.left_out(), 0u);
  SetBook(7, TaskState::kEnded, 50);
  Look(200, {Happens(EventKind::kTaskEnd, 7, 150, 50)}, true);
  EXPECT_EQ(tasks_.left_out(), 0u);
  const auto tasks = Tasks();
  ASSERT_EQ(tasks.size(), 1u);
  EXPECT_EQ(tasks[0].begin_us, 10'000);
  EXPECT_EQ(tasks[0].end_us, 150'000);
  EXPECT_EQ(tasks[0].charged.back().value, 50u);
}

}  // namespace
}  // namespace taskmem
