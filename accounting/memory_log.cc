#include "accounting/memory_log.h"

#include <cstdarg>
#include <cstdio>

namespace taskmem {

void LogLine(MemoryLog* log, LogLevel level, const char* format, ...) {
  if (log == nullptr || !log->Wants(level)) return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  log->Write(level, text);
}

}  // namespace taskmem
