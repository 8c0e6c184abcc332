// Where the library says what it does: Spark's lines, word for word.
#ifndef TASKMEM_ACCOUNTING_BASE_MEMORY_LOG_H_
#define TASKMEM_ACCOUNTING_BASE_MEMORY_LOG_H_

#include <cstdint>

namespace taskmem {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };

// Called with no lock held, on the thread the line is about. The default says
// nothing.
class MemoryLog {
 public:
  // `text` is one line without its end, valid during the call.
  virtual void Write(LogLevel /*level*/, const char* /*text*/) {}
  // Lines of other levels are not even formatted.
  virtual bool Wants(LogLevel /*level*/) const { return true; }

 protected:
  ~MemoryLog() = default;
};

// Formats and writes one line, cut at 512 bytes. `log` may be null.
__attribute__((format(printf, 3, 4))) void LogLine(MemoryLog* log, LogLevel level,
                                                   const char* format, ...);

// The same for a text that is made already. Control characters in it are replaced.
void LogText(MemoryLog* log, LogLevel level, char* text);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_MEMORY_LOG_H_
