#include "tools/recording/recording.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
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
  EXPECT_EQ(recording->peak_us, 3000);
  ASSERT_EQ(recording->events.size(), 1u);
  EXPECT_EQ(recording->events[0].us, 2500);
  EXPECT_EQ(recording->events[0].limit, 4'000'000u);
}

// An end is told of when it is met, and says when it was: what was seen since stays in order.
TEST_F(RecordingTest, TimesAreInOrder) {
  {
    FrameWriter file(path_);
    WriteStart(&file);
    PackedWriter task;
    task.Number(0).Number(5).Number(1).Text("").Number(0).Signed(0).Number(0);
    file.Add(RecordType::kTask, task);
    file.Add(RecordType::kTime, PackedWriter().Number(1000));
    file.Add(RecordType::kCharge, PackedWriter().Number(0).Signed(100));
    file.Add(RecordType::kCounters, PackedWriter().Number(0).Number(1).Number(4).Signed(1));
    // It ended 0.4 ms before with a higher peak; another claims to come from after now.
    file.Add(RecordType::kTaskEnd, PackedWriter().Number(0).Signed(-400).Number(900).Number(50));
    file.Add(RecordType::kTaskEnd, PackedWriter().Number(0).Signed(500).Number(901).Number(40));
  }
  std::string error;
  const auto recording = ReadRecording(path_, &error);
  ASSERT_TRUE(recording) << error;
  const RecordedTask& task = recording->tasks.at(0);
  EXPECT_EQ(task.peak_bytes, 901u);
  EXPECT_EQ(task.end_us, 1000);
  ASSERT_EQ(task.changes.size(), 3u);
  for (size_t i = 1; i < task.changes.size(); ++i) {
    EXPECT_LE(task.changes[i - 1].us, task.changes[i].us);
  }
  EXPECT_EQ(ValueAt(task.charged, 1000), 40u);
  EXPECT_EQ(ValueAt(recording->total, recording->end_us), 40u);
}

// Names as long as can be, which weigh almost nothing in the file.
TEST_F(RecordingTest, AForgedFileTakesBoundedMemory) {
  std::string file;
  {
    FrameWriter writer(path_);
    WriteStart(&writer);
    writer.Flush();
    file = Content();
    const std::string name(4096, 'x');
    for (uint64_t i = 0; i < 64; ++i) {
      writer.Add(RecordType::kSetting, PackedWriter().Text(std::to_string(i) + name).Text(name));
    }
  }
  const std::string frame = Content().substr(file.size());
  constexpr uint64_t kBytesOfAFrame = 64 * 2 * 4096;
  for (uint64_t i = 0; i < 2 * kMostRecordingBytes / kBytesOfAFrame; ++i) file += frame;
  std::string error;
  const auto recording = ParseRecording(file, &error);
  ASSERT_TRUE(recording) << error;
  EXPECT_EQ(recording->damage, "there is more of it than can be shown");
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

TEST_F(RecordingTest, SymbolsHaveWhatWasInlined) {
  {
    FrameWriter file(path_);
    WriteStart(&file);
    PackedWriter symbol;
    symbol.Number(64).Text("outer").Text("/lib/m.so").Text("m.cc").Number(7).Number(16);
    file.Add(RecordType::kSymbol, symbol);  // as it was before
    symbol.Number(1).Text("inner").Text("m.h").Number(8);
    file.Add(RecordType::kSymbol, PackedWriter("A" + symbol.bytes().substr(1)));
  }
  std::string error;
  const auto recording = ReadRecording(path_, &error);
  ASSERT_TRUE(recording) << error;
  ASSERT_EQ(recording->symbols.at({0, 64}).size(), 1u);
  const std::vector<Symbol>& chain = recording->symbols.at({0, 'A'});
  ASSERT_EQ(chain.size(), 2u);
  EXPECT_EQ(chain[0].function, "inner");
  EXPECT_EQ(chain[0].file, "m.h");
  EXPECT_EQ(chain[0].line, 8);
  EXPECT_TRUE(chain[0].is_inlined);
  EXPECT_EQ(chain[0].module, "m.so");
  EXPECT_EQ(chain[1].function, "outer");
}

// Programs that are not moved have their code at the same addresses.
TEST_F(RecordingTest, EachProgramHasItsOwnSymbols) {
  const std::string names[] = {"first", "second", "third"};
  {
    FrameWriter file(path_);
    for (uint64_t i = 0; i < std::size(names); ++i) {
      WriteStart(&file);
      file.Add(RecordType::kStack, PackedWriter().Number(i).Number(0).Number(1).Signed(4096));
      PackedWriter symbol;
      symbol.Number(4096).Text(names[i]).Text("/bin/p").Text("p.cc").Number(7).Number(16);
      file.Add(RecordType::kSymbol, symbol.Number(0));
    }
  }
  std::string error;
  const auto recording = ReadRecording(path_, &error);
  ASSERT_TRUE(recording) << error;
  ASSERT_EQ(recording->stacks.size(), std::size(names));
  for (size_t i = 0; i < std::size(names); ++i) {
    const RecordedStack& stack = recording->stacks[i];
    EXPECT_EQ(recording->symbols.at({stack.program, stack.frames[0]})[0].function, names[i]);
  }
}

// What `zstd -dc FILE` does.
TEST_F(RecordingTest, UnpackersOfZstdGiveTheRecords) {
  {
    FrameWriter file(path_);
    WriteSmall(&file);
  }
  std::string records;
  const ReadResult result = ReadRecords(path_, [&](RecordType type, PackedReader payload) {
    records += PackedWriter().Number(static_cast<uint32_t>(type)).Text(payload.rest()).bytes();
    return true;
  });
  EXPECT_EQ(result.error, "");
  const std::string file = Content();
  std::string unpacked(1 << 20, '\0');
  ZSTD_inBuffer in = {file.data(), file.size(), 0};
  ZSTD_outBuffer out = {unpacked.data(), unpacked.size(), 0};
  ZSTD_DStream* const stream = ZSTD_createDStream();
  while (in.pos < in.size) {
    const size_t code = ZSTD_decompressStream(stream, &out, &in);
    ASSERT_EQ(ZSTD_isError(code), 0u) << ZSTD_getErrorName(code);
  }
  ZSTD_freeDStream(stream);
  unpacked.resize(out.pos);
  EXPECT_EQ(unpacked, records);
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

TEST_F(RecordingTest, TwoWritersDoNotShareAFile) {
  {
    FrameWriter file(path_);
    WriteSmall(&file);
    file.Flush();
    const std::string written = Content();
    EXPECT_EQ(WhyNotRecorded(path_), strerror(EBUSY));
    EXPECT_NE(FrameWriter(path_).error(), "");
    EXPECT_EQ(Content(), written);
  }
  EXPECT_EQ(WhyNotRecorded(path_), "");
}

TEST_F(RecordingTest, AFullFileSystemStopsTheWriterAndNothingElse) {
  EXPECT_NE(WhyNotRecorded("/dev/full"), "");
  EXPECT_NE(WhyNotRecorded("/"), "");
  EXPECT_NE(WhyNotRecorded("/no/such/folder/file"), "");
  EXPECT_EQ(WhyNotRecorded(path_), "");
  EXPECT_NE(access(path_.c_str(), F_OK), 0) << "the check left a file";
  const FrameWriter file("/dev/full");
  EXPECT_NE(file.error(), "");
}

}  // namespace
}  // namespace taskmem
