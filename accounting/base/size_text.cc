#include "accounting/base/size_text.h"

#include "accounting/base/format_text.h"

namespace taskmem {

namespace {

constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

}  // namespace

SizeText::SizeText(int64_t bytes) {
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

OwnSizeText::OwnSizeText(uint64_t bytes) {
  if (bytes < 1024) {
    FormatText(text_, sizeof(text_), "%llu B", static_cast<unsigned long long>(bytes));
    return;
  }
  // What would be rounded to 1024.0 belongs to the next unit.
  uint64_t tenths = 0;
  int unit = 0;
  do {
    ++unit;
    const int bits = 10 * unit;
    const uint64_t one = uint64_t{1} << bits;
    const uint64_t part = bytes & (one - 1);
    // Rounded half to even, as printf does. Ten times the part is less than 2^64.
    const uint64_t left = (part * 10) & (one - 1);
    tenths = (bytes >> bits) * 10 + (part * 10 >> bits);
    if (left > one / 2 || (left == one / 2 && tenths % 2 != 0)) ++tenths;
  } while (tenths >= 10240 && unit < 6);
  FormatText(text_, sizeof(text_), "%llu.%llu %s", static_cast<unsigned long long>(tenths / 10),
             static_cast<unsigned long long>(tenths % 10), kUnits[unit]);
}

}  // namespace taskmem
