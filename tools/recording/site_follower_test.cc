#include "tools/recording/site_follower.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "tools/recording/recording.h"

namespace taskmem {
namespace {

class SiteFollowerTest : public ::testing::Test {
 protected:
  ~SiteFollowerTest() override { unlink(path_.c_str()); }

  void Begin(uint32_t slot, uint64_t id) {
    Event event = {};
    event.kind = EventKind::kTaskBegin;
    event.slot = slot;
    event.task_id = id;
    event.limit = UINT64_MAX;
    tasks_.FollowEvents({event}, false);
  }
  static void Hold(Audit* audit, uint32_t slot, uint64_t id, uint64_t mapping_bytes) {
    TaskAudit& task = audit->tasks.emplace_back();
    task.slot = slot;
    task.id = id;
    task.mapping_bytes = mapping_bytes;
  }
  static void Allocate(Audit* audit, uint32_t slot, uint64_t frame, uint64_t bytes) {
    SiteEstimate& site = audit->sites.sites.emplace_back();
    site.slot = slot;
    site.frames = {frame};
    site.bytes = bytes;
  }
  void At(uint64_t us) { file_->Add(RecordType::kTime, PackedWriter().Number(us)); }
  Recording Read() {
    sites_.ForgetAll();
    file_.reset();
    std::string error;
    auto recording = ReadRecording(path_, &error);
    EXPECT_TRUE(recording) << error;
    return recording ? *std::move(recording) : Recording();
  }

  const std::string path_ = ::testing::TempDir() + "site_follower_test." + std::to_string(getpid());
  std::optional<FrameWriter> file_{path_};
  TaskFollower tasks_{&*file_};
  SiteFollower sites_{&*file_};
};

TEST_F(SiteFollowerTest, ChangesOfSitesAndMappingsAreTheTasks) {
  PackedWriter start;
  start.Number(1).Number(1).Number(1).Number(1).Text("").Text("").Number(1).Text("").Number(1);
  file_->Add(RecordType::kStart, start);
  tasks_.SetTime(1);
  Begin(5, 70);
  Begin(6, 80);
  Audit audit;
  audit.generated[0x1000] = "Interpreter";
  Hold(&audit, 5, 70, 4096);
  // In its slot there is another task by now, as of the books.
  Hold(&audit, 6, 81, 8192);
  Allocate(&audit, 5, 0x1000, 100);
  Allocate(&audit, 6, 0x1000, 200);
  At(10);
  sites_.Follow(audit, tasks_);
  audit.tasks[0].mapping_bytes = 0;
  audit.sites.sites.erase(audit.sites.sites.begin());
  At(10);
  sites_.Follow(audit, tasks_);
  const Recording recording = Read();
  ASSERT_EQ(recording.tasks.size(), 2u);
  EXPECT_EQ(ValueAt(recording.tasks[0].mapped, 10), 4096u);
  EXPECT_EQ(ValueAt(recording.tasks[0].mapped, 20), 0u);
  EXPECT_TRUE(recording.tasks[1].mapped.empty());
  ASSERT_EQ(recording.looks.size(), 2u);
  ASSERT_EQ(recording.looks[0].sites.size(), 2u);
  EXPECT_EQ(recording.looks[0].sites[0].task, std::nullopt);
  EXPECT_EQ(recording.looks[0].sites[0].bytes, 200u);
  EXPECT_EQ(recording.looks[0].sites[1].task, 0u);
  EXPECT_EQ(recording.looks[0].sites[1].bytes, 100u);
  ASSERT_EQ(recording.looks[1].sites.size(), 1u);
  EXPECT_EQ(recording.looks[1].sites[0].bytes, 0u);
  EXPECT_EQ(recording.symbols.at({0, 0x1000}).at(0).function, "Interpreter");
}

}  // namespace
}  // namespace taskmem
