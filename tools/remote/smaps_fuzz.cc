// Files of smaps whose lines are anything: names of mappings are the program's to choose.
#include <string>
#include <string_view>

#include "tests/support/fuzz_driver.h"
#include "tools/remote/smaps.h"

namespace taskmem {

std::vector<std::string> FuzzSeeds() {
  return {FileContents("/proc/self/smaps"), FileContents("/proc/1/smaps"),
          "7f0010000-7f0020000 rw-s 00001000 fe:00 247026    /a/name\nRss:    64 kB\n"
          "VmFlags: rd wr nr\n",
          "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]\nRss: 0 kB\n"};
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  uint64_t before = 0;
  for (const MemoryRange& range : ParseSmaps(text)) {
    FUZZ_CHECK(range.start >= before && range.start < range.end);
    FUZZ_CHECK(range.start % 4096 == 0 && range.end % 4096 == 0);
    FUZZ_CHECK(range.Permissions().size() == 4);
    FUZZ_CHECK(range.name.find('\n') == std::string::npos);
    before = range.end;
  }
  return 0;
}
