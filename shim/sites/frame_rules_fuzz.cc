// Unwind tables that are damaged anywhere, and expressions of any bytes.
//
// An input is a module that consists of tables alone: the linker's table of functions, and the
// entries that it points to. It is mapped between pages that nobody may touch.
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "shim/sites/frame_rules.h"
#include "tests/support/fuzz_driver.h"

namespace taskmem {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kMostBytes = 16 * kPage;

struct Header {
  uint8_t version = 1;
  uint8_t frame_encoding = 0x1b;  // sdata4, relative to itself
  uint8_t count_encoding = 0x03;
  uint8_t table_encoding = 0x3b;
  int32_t frame = 0;
  uint32_t count = 0;
};
struct Entry {
  int32_t start;
  int32_t rules;
};

template <typename T>
T Read(const char* at) {
  T value;
  memcpy(&value, at, sizeof(value));
  return value;
}
template <typename T>
void Append(std::string* bytes, const T& value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
void Put(std::string* bytes, size_t at, int32_t value) {
  memcpy(bytes->data() + at, &value, sizeof(value));
}

// An entry with its length, as it lies in a loaded library.
std::string EntryBytes(const char* at) {
  const auto length = Read<uint32_t>(at);
  return length < kPage ? std::string(at, length + sizeof(length)) : std::string();
}

// What the entry at `at` has in common with others.
std::string CommonBytes(const char* at) { return EntryBytes(at + 4 - Read<int32_t>(at + 4)); }

// A module with some functions of a loaded one, which begin kFunctionBytes apart.
constexpr int32_t kFunctionBytes = 1 << 16;
std::string MakeModule(const char* table, const std::vector<uint32_t>& functions) {
  std::string module;
  Header header;
  header.count = static_cast<uint32_t>(functions.size());
  Append(&module, header);
  module.resize(module.size() + functions.size() * sizeof(Entry));
  for (size_t i = 0; i < functions.size(); ++i) {
    const auto entry = Read<Entry>(table + sizeof(Header) + functions[i] * sizeof(Entry));
    const char* const at = table + entry.rules;
    std::string rules = EntryBytes(at);
    const std::string common = CommonBytes(at);
    if (rules.size() < 16 || common.empty()) continue;
    const auto common_at = static_cast<int32_t>(module.size());
    module += common;
    const auto rules_at = static_cast<int32_t>(module.size());
    const int32_t start = static_cast<int32_t>(i + 1) * kFunctionBytes;
    Put(&rules, 4, rules_at + 4 - common_at);
    Put(&rules, 8, start - (rules_at + 8));
    module += rules;
    Put(&module, sizeof(Header) + i * sizeof(Entry), start);
    Put(&module, sizeof(Header) + i * sizeof(Entry) + 4, rules_at);
  }
  return module;
}

struct Place {
  char* end;  // of what can be touched
};
Place MapPlace() {
  void* const all =
      mmap(nullptr, kMostBytes + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FUZZ_CHECK(all != MAP_FAILED);
  char* const start = static_cast<char*>(all) + kPage;
  FUZZ_CHECK(mprotect(start, kMostBytes, PROT_READ | PROT_WRITE) == 0);
  return {start + kMostBytes};
}

// Memory of a stack: every word is there but those at every 64th, and says where it is.
bool ReadWord(void* reads, uint64_t address, uint64_t* word) {
  ++*static_cast<uint64_t*>(reads);
  if (address % 64 == 0) return false;
  *word = address * 0x9e3779b97f4a7c15;
  return true;
}

// How much an expression may read, whatever its bytes are.
constexpr uint64_t kMostReads = 100'000;

void Compute(FrameBytes expression) {
  static TaskmemFrameScratch scratch;
  for (const bool has_cfa : {false, true}) {
    uint64_t reads = 0;
    uint64_t result = 0;
    const ExpressionHost host = {0x401000, 0x7ffe0008, 0x7ffe0108, ReadWord, &reads, &scratch};
    ComputeExpression(expression, host, has_cfa, 0x7ffe0100, &result);
    FUZZ_CHECK(reads < kMostReads);
  }
}

bool LiesIn(FrameBytes bytes, const uint8_t* start, const uint8_t* end) {
  return bytes.IsEmpty() || (bytes.at >= start && bytes.end <= end);
}

void FindAndCompute(const uint8_t* start, const uint8_t* end, uint64_t ip, bool is_whole) {
  static TaskmemFrameScratch scratch;
  const FrameTables tables = {reinterpret_cast<uint64_t>(start), reinterpret_cast<uint64_t>(start),
                              reinterpret_cast<uint64_t>(end)};
  FrameRules rules;
  const bool found = FindFrameRules(tables, ip, &scratch, &rules);
  FUZZ_CHECK(found || !is_whole);
  if (!found) return;
  for (const FrameBytes expression :
       {rules.cfa_expression, rules.bp.expression, rules.ip.expression}) {
    FUZZ_CHECK(LiesIn(expression, start, end));
    if (!expression.IsEmpty()) Compute(expression);
  }
}

std::vector<std::string> g_whole;

}  // namespace

std::vector<std::string> FuzzSeeds() {
  for (void* function :
       {reinterpret_cast<void*>(&qsort), dlsym(RTLD_DEFAULT, "_dl_find_object"),
        dlsym(RTLD_DEFAULT, "_Unwind_Backtrace"), dlsym(RTLD_DEFAULT, "_ZSt9terminatev"),
        reinterpret_cast<void*>(&Read<int>)}) {
    struct dl_find_object module;
    if (function == nullptr || _dl_find_object(function, &module) != 0) continue;
    const char* const table = static_cast<const char*>(module.dlfo_eh_frame);
    const auto header = Read<Header>(table);
    // From all over the table, and frames of signals, which are made of expressions.
    for (uint32_t i = 0; i < 24; ++i) {
      const uint32_t first = static_cast<uint32_t>(uint64_t{header.count} * i / 24);
      std::vector<uint32_t> functions;
      for (uint32_t k = first; k < std::min(first + 1 + i % 4, header.count); ++k) {
        functions.push_back(k);
      }
      g_whole.push_back(MakeModule(table, functions));
    }
    for (uint32_t i = 0; i < header.count; ++i) {
      const auto entry = Read<Entry>(table + sizeof(Header) + i * sizeof(Entry));
      if (CommonBytes(table + entry.rules).find("zRS") == std::string::npos) continue;
      g_whole.push_back(MakeModule(table, {i, i == 0 ? 1 : i - 1}));
    }
  }
  return g_whole;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  static const Place place = MapPlace();
  bytes = std::min(bytes, kMostBytes);
  const size_t padded = (bytes + 7) / 8 * 8;
  auto* const start = reinterpret_cast<uint8_t*>(place.end) - padded;
  memset(place.end - kMostBytes, 0xff, kMostBytes);
  memset(start, 0, padded);
  memcpy(start, data, bytes);
  const auto* const end = reinterpret_cast<const uint8_t*>(place.end);
  const auto base = reinterpret_cast<uint64_t>(start);
  const bool is_whole = std::any_of(g_whole.begin(), g_whole.end(), [&](const std::string& module) {
    return module.size() == bytes && memcmp(module.data(), data, bytes) == 0;
  });
  if (bytes >= sizeof(Header)) {
    const auto count = std::min(Read<Header>(reinterpret_cast<char*>(start)).count, 8u);
    for (uint32_t i = 0; i < count; ++i) {
      for (const uint64_t distance : {0, 1, 4, 17, 300, 0xffff}) {
        const uint64_t ip = base + (i + 1) * uint64_t{kFunctionBytes} + distance;
        FindAndCompute(start, end, ip, is_whole && distance == 0);
      }
    }
    FindAndCompute(start, end, base + Read<uint32_t>(reinterpret_cast<char*>(start) + 8), false);
    FindAndCompute(start, end, 0, false);
  }
  // Its end as an expression.
  const size_t tail = std::min<size_t>(bytes, 64);
  Compute({end - tail, end});
  return 0;
}
