// Values as people write them: one of several words, numbers, sizes, times. Of options, and of
// whatever else takes the same.
//
// Used inside the preload library: no allocation, no C++ runtime.
#ifndef TASKMEM_SHIM_OPTIONS_VALUE_TEXT_H_
#define TASKMEM_SHIM_OPTIONS_VALUE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace taskmem {

// "64K", "256MiB", "1.5G", "4096", "none" (UINT64_MAX). False where it is none.
bool ParseBytes(const char* text, uint64_t* bytes);

// "1s", "250ms", "20us", "2m", "0". False where it is none.
bool ParseDuration(const char* text, int64_t* ns);

// Reads digits from `*text` on, which is left behind them. False where there is
// none or the number does not fit.
bool ParseDigits(const char** text, uint64_t* number);

// A word, and what it stands for.
template <typename T>
struct Choice {
  const char* name;
  T value;
};

template <typename T, size_t kCount>
bool ParseChoice(const char* text, const Choice<T> (&choices)[kCount], T* result) {
  for (const Choice<T>& choice : choices) {
    if (strcmp(text, choice.name) == 0) {
      *result = choice.value;
      return true;
    }
  }
  return false;
}

template <size_t kBytes>
bool CopyText(const char* text, char (&result)[kBytes]) {
  const size_t length = strlen(text);
  if (length >= kBytes) return false;
  memcpy(result, text, length + 1);
  return true;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_VALUE_TEXT_H_
