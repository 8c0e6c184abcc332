// /proc/PID/stat.
#ifndef TASKMEM_ACCOUNTING_BASE_PROCESS_STAT_H_
#define TASKMEM_ACCOUNTING_BASE_PROCESS_STAT_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace taskmem {

// The field of that number, from 1 on, of `text`, and what follows it; nullptr where there is none.
// Field 2, the name, may have anything in it: those behind it count from its end.
inline const char* ProcessStatField(const char* text, int number) {
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < number; ++field) at = strchr(at + 1, ' ');
  return at != nullptr ? at + 1 : nullptr;
}

// A number among the fields; 0 where there is none.
inline uint64_t ProcessStatNumber(const char* text, int number) {
  const char* const field = ProcessStatField(text, number);
  return field != nullptr ? strtoull(field, nullptr, 10) : 0;
}

inline constexpr int kStatState = 3;  // a letter
inline constexpr int kStatThreadCount = 20;
inline constexpr int kStatStartTime = 22;  // in ticks since the machine started

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_PROCESS_STAT_H_
