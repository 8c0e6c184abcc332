// What /proc says of processes, whose names are theirs to choose.
#include <string>
#include <string_view>

#include "tests/support/fuzz_driver.h"
#include "tools/base/process_info.h"

namespace taskmem {

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (const char* process : {"self", "1"}) {
    for (const char* file : {"stat", "status"}) {
      seeds.push_back(FileContents(std::string("/proc/") + process + "/" + file));
    }
  }
  seeds.push_back("7 (a) b (c) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 99 1\n");
  return seeds;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  ParseStat(text);
  ResidentBytes resident;
  for (std::string_view left = text; !left.empty();) {
    const size_t end = left.find('\n');
    ParseStatusLine(left.substr(0, end), &resident);
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 1);
  }
  return 0;
}
