// Names as they are printed: whatever bytes they are, what comes out is text.
#include <algorithm>
#include <string>
#include <string_view>

#include "tests/support/fuzz_driver.h"
#include "tools/base/units.h"

namespace taskmem {

std::vector<std::string> FuzzSeeds() {
  return {"name",
          "n\xc3\xa4me \xe2\x80\xa6 \xf0\x9f\x98\x80",
          "\x1b[31m",
          "\xc2\x9b[31m\x9b",
          "\xed\xa0\x80",
          "\xe2\x80\xae text",
          "\xf4\x90\x80\x80",
          "\xc0\xaf"};
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  const std::string_view text(reinterpret_cast<const char*>(data), bytes);
  for (const size_t columns : {size_t{1}, size_t{2}, size_t{20}, SIZE_MAX}) {
    const std::string printable = Printable(text, columns);
    FUZZ_CHECK(IsPrintableText(printable) && printable.find('\n') == std::string::npos);
    FUZZ_CHECK(columns > 20 || printable.size() <= 4 * columns + 3);
  }
  return 0;
}
