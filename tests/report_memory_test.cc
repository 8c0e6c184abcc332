// `taskmem report` and `simulate` of recordings that nobody recorded: small files of very much.
// What they take is bounded, whatever they are asked for.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"
#include "tools/recording/frame_writer.h"

namespace taskmem::test {
namespace {

constexpr uint32_t kMost = 100'000;  // records of a frame

class ReportMemoryTest : public CommandFolder {
 protected:
  // A file of a process, a task and a stack, and so many times the same frame.
  void Forge(int frames, const std::function<void(FrameWriter*)>& fill) {
    uintmax_t before = 0;
    {
      FrameWriter file(At("r"));
      PackedWriter start;
      start.Number(1).Number(2).Number(3).Number(4).Text("program").Text("title");
      file.Add(RecordType::kStart, start.Number(10'000).Text("1").Number(1));
      PackedWriter task;
      task.Number(0).Number(8).Number(10).Text("task").Number(0).Signed(0).Number(0);
      file.Add(RecordType::kTask, task);
      file.Flush();
      before = std::filesystem::file_size(At("r"));
      fill(&file);
    }
    std::ifstream written(At("r"), std::ios::binary);
    std::string frame((std::istreambuf_iterator<char>(written)), {});
    frame.erase(0, before);
    std::ofstream more(At("r"), std::ios::binary | std::ios::app);
    for (int i = 1; i < frames; ++i) more << frame;
  }

  // Within 2 GB of addresses.
  void Expect(const std::string& command) {
    const Result result =
        Shell("cd $FOLDER; ulimit -v 2000000; taskmem " + command + " > /dev/null");
    EXPECT_TRUE(result.Succeeded()) << command << result.Describe();
    EXPECT_NE(result.err.find("there is more of it than can be shown"), std::string::npos)
        << command << result.Describe();
  }
  void ExpectOfAll() {
    Expect("report r --text");
    Expect("report r --json");
    Expect("report r -o /dev/null");
    Expect("report r --collapsed /dev/null --pprof /dev/null --speedscope /dev/null");
    Expect("simulate r --quota 1M,2M,3M,4M,5M,6M,7M,8M --plot /dev/null");
  }
};

TEST_F(ReportMemoryTest, OfEvents) {
  Forge(200, [](FrameWriter* file) {
    PackedWriter event;
    event.Number(3).Number(1).Signed(-1).Number(1).Number(1 << 20).Number(1 << 21).Number(1 << 22);
    for (uint32_t i = 0; i < kMost; ++i) file->Add(RecordType::kEvent, event);
  });
  ExpectOfAll();
}

TEST_F(ReportMemoryTest, OfCharges) {
  Forge(200, [](FrameWriter* file) {
    for (uint32_t i = 0; i < kMost; ++i) {
      file->Add(RecordType::kTime, PackedWriter().Number(1));
      file->Add(RecordType::kCharge, PackedWriter().Number(0).Signed(i % 2 == 0 ? 65536 : -65536));
    }
  });
  ExpectOfAll();
}

TEST_F(ReportMemoryTest, OfQuotas) {
  Forge(300, [](FrameWriter* file) {
    for (uint32_t i = 0; i < kMost; ++i) {
      file->Add(RecordType::kTime, PackedWriter().Number(1));
      file->Add(RecordType::kTaskChange, PackedWriter().Number(0).Number(1000 + i % 2).Text("t"));
    }
  });
  ExpectOfAll();
}

// Each look has many stacks, each stack many frames, each frame many functions.
TEST_F(ReportMemoryTest, OfSites) {
  constexpr uint32_t kStacks = 2000;
  Forge(2000, [](FrameWriter* file) {
    PackedWriter symbol;
    symbol.Number(4096).Text(std::string(3000, 'f')).Text("/lib/m").Text("f.cc");
    symbol.Number(7).Number(16).Number(500);
    for (int i = 0; i < 500; ++i) symbol.Text(std::string(900, 'g')).Text("g.cc").Number(8);
    file->Add(RecordType::kSymbol, symbol);
    PackedWriter look;
    look.Number(1).Number(kStacks);
    for (uint32_t stack = 0; stack < kStacks; ++stack) {
      PackedWriter record;
      record.Number(stack).Number(0).Number(64).Signed(4096);
      for (int i = 1; i < 64; ++i) record.Signed(0);
      file->Add(RecordType::kStack, record);
      look.Number(stack).Number(1).Number(1000 + stack);
    }
    file->Add(RecordType::kTime, PackedWriter().Number(1000));
    file->Add(RecordType::kSites, look);
  });
  ExpectOfAll();
}

}  // namespace
}  // namespace taskmem::test
