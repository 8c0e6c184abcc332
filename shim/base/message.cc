#include "shim/base/message.h"

#include <errno.h>

#include <cstdarg>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/format_text.h"
#include "shim/base/os.h"

namespace taskmem {

void Message(const char* format, ...) {
  constexpr char kPrefix[] = "taskmem: ";
  constexpr size_t kPrefixBytes = sizeof(kPrefix) - 1;
  const ErrnoKeeper keeper;
  char line[512];
  __builtin_memcpy(line, kPrefix, kPrefixBytes);
  va_list arguments;
  va_start(arguments, format);
  int length = FormatTextV(line + kPrefixBytes, sizeof(line) - kPrefixBytes - 1, format, arguments);
  va_end(arguments);
  if (length < 0) length = 0;
  size_t bytes = kPrefixBytes + static_cast<size_t>(length);
  if (bytes > sizeof(line) - 2) bytes = sizeof(line) - 2;
  line[bytes++] = '\n';
  os::Call(SYS_write, 2, reinterpret_cast<long>(line), static_cast<long>(bytes));
}

}  // namespace taskmem
