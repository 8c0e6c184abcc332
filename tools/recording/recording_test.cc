#include "tools/recording/recording.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "tools/recording/frame_reader.h"
#include "tools/recording/frame_writer.h"

namespace taskmem {
namespace {

class RecordingTest : public ::testing::Test {
 protected:
  RecordingTest() { unlink(path_.c_str()); }
  ~RecordingTest() override { unlink(path_.c_str()); }

  std::string Content() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string path_ = ::testing::TempDir() + "recording_test." + std::to_string(getpid());
};

void WriteStart(FrameWriter* file) {
  PackedWriter start;
  start.Number(1'000'000'000'000).Number(5'000'000).Number(4711).Number(1);
  start.Text("/usr/bin/job").Text("job --now").Number(10'000).Text("0.2.0").Number(1);
  file->Add(RecordType::kStart, start);
}

// A task that grows to 3 MB within 3 ms, in three frames.
void WriteSmall(FrameWriter* file) {
  WriteStart(file);
  file->Add(RecordType::kSetting, PackedWriter().Text("quota").Text("4M"));
  PackedWriter task;
  task.Number(0).Number(5).Number(78).Text("query").Number(4'000'001).Signed(0).Number(0);
  file->Add(RecordType::kTask, task);
  for (int i = 1; i <= 3; ++i) {
    file->Add(RecordType::kTime, PackedWriter().Number(1000));
    file->Add(RecordType::kCharge, PackedWriter().Number(0).Signed(1'000'000));
    file->Flush();
  }
  file->Add(RecordType::kCounters, PackedWriter().Number(0).Number(1).Number(4).Signed(2));
  file->Add(RecordType::kEvent, PackedWriter()
                                    .Number(3)
                                    .Number(1)
                                    .Signed(-500)
                                    .Number(1)
                                    .Number(2'000'000)
                                    .Number(3'000'000)
                                    .Number(4'000'001));
  file->Add(RecordType::kEnd, PackedWriter().Number(1));
}

TEST_F(RecordingTest, IsReadAsItWasWritten) {
  {
    FrameWriter file(path_);
    WriteSmall(&file);
    EXPECT_EQ(file.error(), "");
  }
  std::string error;
  const auto recording = ReadRecording(path_, &error);
  ASSERT_TRUE(recording) << error;
  EXPECT_EQ(recording->damage, "");
  EXPECT_EQ(recording->end, EndReason::kEnded);
  EXPECT_EQ(recording->pid, 4711u);
  EXPECT_EQ(recording->title, "job --now");
  EXPECT_EQ(recording->settings.at("quota"), "4M");
  ASSERT_EQ(recording->tasks.size(), 1u);
  const RecordedTask& task = recording->tasks[0];
  EXPECT_EQ(task.id, 77u);
  EXPECT_EQ(task.name, "query");
  EXPECT_EQ(ValueAt(task.charged, 999), 0u);
  EXPECT_EQ(ValueAt(task.charged, 1000), 1'000'000u);
  EXPECT_EQ(ValueAt(task.charged, 1'000'000), 3'000'000u);
  EXPECT_EQ(ValueAt(task.quota, 0), 4'000'000u);
  EXPECT_EQ(task.Get(Counter::kRefusals), 2u);
  EXPECT_EQ(recording->PeakUs(), 3000);
  ASSERT_EQ(recording->events.size(), 1u);
  EXPECT_EQ(recording->events[0].us, 2500);
  EXPECT_EQ(recording->events[0].limit, 4'000'000u);
}

TEST_F(RecordingTest, WhereverItIsCutWhatIsBeforeIsRead) {
  {
    FrameWriter file(path_);
    WriteSmall(&file);
  }
  const std::string whole = Content();
  size_t most = 0;
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    std::string error;
    const auto recording = ParseRecording(whole.substr(0, bytes), &error);
    EXPECT_EQ(recording.has_value(), error.empty()) << bytes;
    EXPECT_EQ(error.find('\n'), error.npos);
    if (!recording) continue;
    ASSERT_EQ(recording->tasks.size(), 1u) << bytes;
    EXPECT_EQ(recording->end, EndReason::kUnknown) << bytes;
    const size_t values = recording->tasks[0].charged.size();
    EXPECT_GE(values, most) << bytes;
    most = values;
  }
  EXPECT_EQ(most, 3u);
}

TEST_F(RecordingTest, DamageIsNoticed) {
  {
    FrameWriter file(path_);
    WriteSmall(&file);
  }
  const std::string whole = Content();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int change : {1, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      std::string error;
      const auto recording = ParseRecording(damaged, &error);
      if (!recording || !recording->damage.empty()) continue;
      // In the blanks of the head, or where zstd has bits that it does not use.
      EXPECT_EQ(recording->tasks.size(), 1u) << at;
      EXPECT_EQ(ValueAt(recording->tasks[0].charged, 3000), 3'000'000u) << at;
    }
  }
}

TEST_F(RecordingTest, WhatIsNoRecordingIsSaidToBeNone) {
  std::string error;
  EXPECT_FALSE(ReadRecording(path_, &error));
  EXPECT_EQ(error, "No such file or directory");
  EXPECT_FALSE(ReadRecording("/", &error));
  EXPECT_EQ(error, "it is no regular file");
  EXPECT_FALSE(ReadRecording("/dev/zero", &error));
  EXPECT_EQ(error, "it is no regular file");
  EXPECT_FALSE(ParseRecording("", &error));
  EXPECT_EQ(error, "it is no recording of taskmem");
  EXPECT_FALSE(ParseRecording("{\"schema\": \"taskmem-audit-1\"}", &error));
  EXPECT_EQ(error, "it is no recording of taskmem");
  { const FrameWriter file(path_); }
  EXPECT_FALSE(ReadRecording(path_, &error));
  EXPECT_EQ(error, "it is empty: no process was recorded");
  std::string other = Content();
  other[other.find(" 1\n") + 1] = '7';
  EXPECT_FALSE(ParseRecording(other, &error));
  EXPECT_EQ(error, "this version of taskmem reads recordings of version 1 only");
}

// Of a later version, and of ours.
TEST_F(RecordingTest, RecordsOfUnknownTypesAndLongerOnesAreNoObstacle) {
  {
    FrameWriter file(path_);
    WriteStart(&file);
    file.Add(static_cast<RecordType>(12345), PackedWriter().Text("what is this?"));
    file.Add(RecordType::kTime, PackedWriter().Number(7).Number(8).Text("more"));
  }
  std::string error;
  const auto recording = ReadRecording(path_, &error);
  ASSERT_TRUE(recording) << error;
  EXPECT_EQ(recording->damage, "");
  EXPECT_EQ(recording->end_us, 7);
}

TEST_F(RecordingTest, AFrameThatSaysItIsHugeIsNotUnpacked) {
  {
    FrameWriter file(path_);
    WriteStart(&file);
  }
  // A frame of zstd with one block of a repeated byte, which claims 2 GiB.
  std::string bomb("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x80", 9);
  for (int i = 0; i < 100; ++i) bomb += std::string("\x02\x00\x10\x00", 4);
  std::string error;
  const auto recording = ParseRecording(Content() + bomb, &error);
  ASSERT_TRUE(recording) << error;
  EXPECT_NE(recording->damage.find("damaged at byte"), std::string::npos) << recording->damage;
}

TEST_F(RecordingTest, AFullFileSystemStopsTheWriterAndNothingElse) {
  EXPECT_NE(CheckRecordingFile("/dev/full"), 0);
  EXPECT_NE(CheckRecordingFile("/"), 0);
  EXPECT_NE(CheckRecordingFile("/no/such/folder/file"), 0);
  EXPECT_EQ(CheckRecordingFile(path_), 0);
  EXPECT_NE(access(path_.c_str(), F_OK), 0) << "the check left a file";
  const FrameWriter file("/dev/full");
  EXPECT_NE(file.error(), "");
}

}  // namespace
}  // namespace taskmem
