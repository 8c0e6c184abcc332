#include "accounting/base/memory_log.h"

#include <cstdarg>

#include "accounting/base/format_text.h"

namespace taskmem {

void LogText(MemoryLog* log, LogLevel level, char* text) {
  if (log == nullptr || !log->Wants(level)) return;
  // A name a program chose must not look like a line of ours.
  for (char* at = text; *at != '\0'; ++at) {
    if (static_cast<unsigned char>(*at) < ' ') *at = '?';
  }
  log->Write(level, text);
}

void LogLine(MemoryLog* log, LogLevel level, const char* format, ...) {
  if (log == nullptr || !log->Wants(level)) return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  FormatTextV(text, sizeof(text), format, arguments);
  va_end(arguments);
  LogText(log, level, text);
}

}  // namespace taskmem
