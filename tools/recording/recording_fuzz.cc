// Recordings of whatever bytes. An input is the records of frames: the first byte says how, then
// follow bytes that are packed into a whole frame, or are the file itself.
#include <zstd.h>

#include <string>
#include <string_view>

#include "tests/support/fuzz_driver.h"
#include "tools/recording/file_head.h"
#include "tools/recording/packed.h"
#include "tools/recording/recording.h"

namespace taskmem {
namespace {

std::string Frame(std::string_view records) {
  std::string packed(ZSTD_compressBound(records.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), records.data(), records.size(), 1));
  return packed;
}

void Append(std::string* records, RecordType type, const PackedWriter& payload) {
  PackedWriter record;
  record.Number(static_cast<uint32_t>(type)).Text(payload.bytes());
  *records += record.bytes();
}

std::string Records() {
  std::string records;
  Append(&records, RecordType::kStart,
         PackedWriter()
             .Number(1)
             .Number(2)
             .Number(3)
             .Number(4)
             .Text("a")
             .Text("b")
             .Number(5)
             .Text("c")
             .Number(1));
  Append(&records, RecordType::kTask,
         PackedWriter().Number(0).Number(4).Number(9).Text("t").Number(0).Signed(0).Number(0));
  Append(&records, RecordType::kTime, PackedWriter().Number(1000));
  Append(&records, RecordType::kCharge, PackedWriter().Number(0).Signed(5000));
  Append(&records, RecordType::kCounters,
         PackedWriter().Number(0).Number(2).Number(0).Signed(5).Number(3).Signed(6));
  Append(&records, RecordType::kStack,
         PackedWriter().Number(0).Number(0).Number(2).Signed(4096).Signed(16));
  Append(&records, RecordType::kSites,
         PackedWriter().Number(1).Number(1).Number(0).Number(1).Number(77));
  Append(&records, RecordType::kModules,
         PackedWriter().Number(1).Number(4096).Number(4096).Text("/lib/m"));
  Append(&records, RecordType::kMappings, PackedWriter().Number(1).Number(0).Number(4096));
  PackedWriter symbol;
  symbol.Number(4096).Text("f").Text("/lib/m").Text("f.cc").Number(7).Number(16);
  symbol.Number(1).Text("g").Text("g.cc").Number(8);
  Append(&records, RecordType::kSymbol, symbol);
  Append(&records, RecordType::kTaskEnd, PackedWriter().Number(0).Signed(-5).Number(9).Number(1));
  return records;
}

// They are in order, and none is after the end.
template <typename T>
void CheckTimes(const std::vector<T>& values, int64_t end_us) {
  int64_t last = 0;
  for (const T& value : values) {
    FUZZ_CHECK(value.us >= last);
    last = value.us;
  }
  FUZZ_CHECK(last <= end_us);
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  return {'\0' + Records(), '\1' + FileHead() + Frame(Records())};
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  if (bytes == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, bytes - 1);
  const std::string file = data[0] % 2 == 0 ? FileHead() + Frame(rest) : std::string(rest);
  std::string error;
  const auto recording = ParseRecording(file, &error);
  FUZZ_CHECK(recording.has_value() == error.empty());
  FUZZ_CHECK(IsPrintableText(error));
  if (!recording) return 0;
  const int64_t end_us = recording->end_us;
  for (const RecordedTask& task : recording->tasks) {
    FUZZ_CHECK(!task.quota.empty());
    CheckTimes(task.quota, end_us);
    CheckTimes(task.charged, end_us);
    CheckTimes(task.changes, end_us);
    CheckTimes(task.mapped, end_us);
  }
  for (const auto& [address, chain] : recording->symbols) FUZZ_CHECK(!chain.empty());
  CheckTimes(recording->events, end_us);
  CheckTimes(recording->total, end_us);
  CheckTimes(recording->pools, end_us);
  for (const RecordedEvent& event : recording->events) {
    FUZZ_CHECK(!event.task || *event.task < recording->tasks.size());
  }
  for (const RecordedLook& look : recording->looks) {
    for (const RecordedSite& site : look.sites) {
      FUZZ_CHECK(site.stack < recording->stacks.size());
      FUZZ_CHECK(!site.task || *site.task < recording->tasks.size());
    }
  }
  const uint64_t most = ValueAt(recording->total, recording->peak_us);
  for (const RecordedValue& value : recording->total) FUZZ_CHECK(value.value <= most);
  return 0;
}
