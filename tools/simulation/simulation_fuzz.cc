// Recordings of whatever records, through all that is made of them. An input is a sequence of
// choices: of a record, then of its numbers, most of them small, so that records refer to each
// other, and some at the ends of what there is.
#include <zstd.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/fuzz_driver.h"
#include "tools/audit_report/audit_report.h"
#include "tools/base/json_document.h"
#include "tools/recording/file_head.h"
#include "tools/recording/packed.h"
#include "tools/recording/recording.h"
#include "tools/recording_report/recording_report.h"
#include "tools/recording_report/report_html.h"
#include "tools/simulation/simulation_report.h"

namespace taskmem {
namespace {

// Frames of stacks are below it: all have symbols, so that no file is opened for one.
constexpr uint64_t kMostAddress = 32;

class Choices {
 public:
  explicit Choices(std::string_view bytes) : rest_(bytes) {}

  bool IsAtEnd() const { return rest_.empty(); }
  uint64_t Below(uint64_t end) { return Next() % end; }

  uint64_t Number() {
    const uint64_t choice = Next();
    constexpr uint64_t kSmall = 160;
    constexpr uint64_t kBits = 64;
    if (choice < kSmall) return choice % 8;
    if (choice < kSmall + kBits) return (uint64_t{1} << (choice - kSmall)) + Next() % 3 - 1;
    return choice % 2 == 0 ? uint64_t{Next()} << 20 : uint64_t{Next()} * 1000;
  }
  int64_t Signed() { return static_cast<int64_t>(Next() % 4 == 0 ? -Number() : Number()); }
  std::string Text() {
    const uint64_t bytes = Below(6);
    const std::string text(rest_.substr(0, bytes));
    rest_.remove_prefix(text.size());
    return text;
  }

 private:
  unsigned char Next() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

  std::string_view rest_;
};

void Append(std::string* records, RecordType type, const PackedWriter& payload) {
  PackedWriter record;
  record.Number(static_cast<uint32_t>(type)).Text(payload.bytes());
  *records += record.bytes();
}

PackedWriter Start() {
  PackedWriter record;
  record.Number(1).Number(2).Number(3).Number(4).Text("a").Text("b").Number(5).Text("c").Number(1);
  return record;
}

// Of the sizes that FORMAT.md has, each number by choice.
PackedWriter Payload(RecordType type, Choices* choices) {
  PackedWriter record;
  const auto numbers = [&](int count) {
    for (int i = 0; i < count; ++i) record.Number(choices->Number());
  };
  switch (type) {
    case RecordType::kStart:
      numbers(4);
      record.Text(choices->Text()).Text(choices->Text());
      numbers(2);
      break;
    case RecordType::kSetting: {
      constexpr const char* kNames[] = {"memory",   "share",    "storage-fraction",
                                        "overflow", "at-limit", "task-by",
                                        "quota",    "spill-dir"};
      constexpr const char* kValues[] = {"none", "64M", "fair",     "spark",
                                         "0.9",  "1",   "overdraw", "kill"};
      record.Text(kNames[choices->Below(8)]).Text(kValues[choices->Below(8)]);
      break;
    }
    case RecordType::kTask:
      numbers(3);
      record.Text(choices->Text());
      numbers(1);
      record.Signed(choices->Signed());
      numbers(1);
      break;
    case RecordType::kTaskChange: numbers(2); break;
    case RecordType::kCharge: record.Number(choices->Number()).Signed(choices->Signed()); break;
    case RecordType::kCounters:
    case RecordType::kEvent:
      for (int i = 0; i < 7; ++i) {
        choices->Below(2) == 0 ? record.Number(choices->Number())
                               : record.Signed(choices->Signed());
      }
      break;
    case RecordType::kTaskEnd:
      record.Number(choices->Number()).Signed(choices->Signed());
      numbers(2);
      break;
    case RecordType::kStack: {
      record.Number(choices->Number()).Number(choices->Number());
      const uint64_t frames = choices->Below(4);
      record.Number(frames);
      for (uint64_t i = 0; i < frames; ++i) {
        record.Signed(static_cast<int64_t>(choices->Below(kMostAddress / 4)));
      }
      break;
    }
    case RecordType::kSymbol: break;  // those that are needed follow
    default: numbers(static_cast<int>(choices->Below(16)));
  }
  return record;
}

std::string FileOf(Choices* choices) {
  std::string records;
  Append(&records, RecordType::kStart, Start());
  // Tasks to begin with, where the first choice says so: in slots of tasks, and of none.
  const uint64_t tasks = choices->Below(4);
  for (uint64_t i = 0; i < tasks; ++i) {
    PackedWriter task;
    task.Number(i).Number(i * 2 + choices->Below(6)).Number(i + 2).Text(choices->Text());
    task.Number(choices->Number()).Signed(0).Number(choices->Below(4));
    Append(&records, RecordType::kTask, task);
  }
  while (!choices->IsAtEnd()) {
    const auto type = static_cast<RecordType>(1 + choices->Below(21));
    Append(&records, type, Payload(type, choices));
  }
  for (uint64_t address = 0; address < kMostAddress; ++address) {
    PackedWriter symbol;
    symbol.Number(address).Text("f").Text("/lib/m").Text("").Number(address).Number(0);
    Append(&records, RecordType::kSymbol, symbol);
  }
  std::string packed(ZSTD_compressBound(records.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), records.data(), records.size(), 1));
  return FileHead() + packed;
}

void Show(const Recording& recording) {
  constexpr size_t kColumns = 80;
  FUZZ_CHECK(IsPrintableText(FormatRecording(recording, kColumns)));
  std::string json;
  WriteRecordingJson(recording, [&json](std::string_view text) { json += text; });
  FUZZ_CHECK(nlohmann::json::accept(json));
  FUZZ_CHECK(!FormatPage(recording).empty());
  const SitesAsAudit sites =
      AsAudit(recording, RecordedSymbols(recording), LiveSites(recording, recording.peak_us));
  FormatCollapsed(sites.sites);
  FormatPprof(sites.audit, sites.sites);
  FormatSpeedscope(recording, sites);
}

void Simulate(const Recording& recording) {
  constexpr uint64_t kStep = 64 * 1024;
  const Simulator simulator(recording);
  std::vector<SimulatedCase> cases(4);
  cases[1].limits.quota_bytes = uint64_t{8} << 20;
  cases[2].limits.memory_bytes = uint64_t{64} << 20;
  cases[2].limits.sharing = Sharing::kSpark;
  cases[2].limits.storage_fraction = 0.5;
  cases[3].limits.quota_bytes = UINT64_MAX;
  cases[3].limits.memory_bytes = UINT64_MAX;
  for (SimulatedCase& one : cases) {
    one.result = simulator.Run(one.limits);
    FUZZ_CHECK(!one.result.first || one.result.first->task < recording.tasks.size());
  }
  SimulatedLimits found;
  found.quota_bytes = simulator.FindQuota({}, kStep);
  FUZZ_CHECK(!found.quota_bytes || !simulator.Run(found).first);
  constexpr size_t kColumns = 80;
  FUZZ_CHECK(IsPrintableText(FormatSimulation(recording, cases, kColumns)));
  FUZZ_CHECK(!JsonText(SimulationJson(recording, cases)).empty());
  FUZZ_CHECK(IsPrintableText(SimulationSvg(recording, cases)));
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds = {""};
  std::minstd_rand random(1);
  for (const size_t bytes : {20, 200, 200, 2000, 2000, 20000}) {
    std::string& seed = seeds.emplace_back();
    for (size_t i = 0; i < bytes; ++i) seed += static_cast<char>(random() >> 8);
  }
  return seeds;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  Choices choices(std::string_view(reinterpret_cast<const char*>(data), bytes));
  std::string error;
  const auto recording = ParseRecording(FileOf(&choices), &error);
  FUZZ_CHECK(recording.has_value());
  Show(*recording);
  Simulate(*recording);
  return 0;
}
