#include "accounting/base/size_text.h"

#include "accounting/base/format_text.h"

namespace taskmem {

SizeText::SizeText(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  // The largest unit of which there are two; 2^63 is less than 8 EiB, so no shift overflows.
  int unit = 0;
  while (unit < 6 && bytes >= int64_t{2} << (10 * (unit + 1))) ++unit;
  const int bits = 10 * unit;

  // Exact: the tenths of the part below one unit, rounded half up. Ten times that part is
  // less than 2^64.
  int64_t whole = bytes >> bits;
  uint64_t tenths = 0;
  if (unit > 0) {
    const uint64_t one = uint64_t{1} << bits;
    const uint64_t part = static_cast<uint64_t>(bytes) & (one - 1);
    tenths = (part * 10 + one / 2) >> bits;
    whole += static_cast<int64_t>(tenths / 10);
    tenths %= 10;
  }
  FormatText(text_, sizeof(text_), "%lld.%llu %s", static_cast<long long>(whole),
             static_cast<unsigned long long>(tenths), kUnits[unit]);
}

}  // namespace taskmem
