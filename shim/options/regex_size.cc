#include "shim/options/regex_size.h"

#include <regex.h>

#include <cstdint>
#include <cstring>

#include "shim/options/value_text.h"

namespace taskmem {
namespace {

// Behind the bracket expression that begins at `text`.
const char* BehindBrackets(const char* text) {
  ++text;
  if (*text == '^') ++text;
  // First in it, it is a character.
  if (*text == ']') ++text;
  while (*text != '\0' && *text != ']') ++text;
  return *text == '\0' ? text : text + 1;
}

// How many copies the repetition at `*text` makes of what stands before it, which is left behind
// it; 1: it makes none.
uint64_t CopiesOf(const char** text) {
  const char first = *(*text)++;
  if (first == '+') return 2;
  if (first != '{') return 1;
  uint64_t most = 1;
  uint64_t number = 0;
  while (ParseDigits(text, &number) || **text == ',') {
    if (**text == ',') ++*text;
    if (number >= most) most = number + 1;
  }
  if (**text == '}') ++*text;
  return most;
}

// How many parts regcomp makes of an expression of less than 256 bytes, which writes out what is
// repeated: it takes some 2 KiB for each, and three nested repetitions can be millions.
uint64_t PartsOf(const char* text) {
  constexpr uint64_t kMost = uint64_t{1} << 30;
  uint64_t parts[256] = {};  // of each group that is open
  size_t depth = 0;
  uint64_t last = 0;  // of what was last
  while (*text != '\0') {
    if (*text == '(') {
      parts[++depth] = 0;
      ++text;
      continue;
    }
    if (*text == ')' && depth > 0) {
      last = parts[depth--];
      ++text;
    } else if (strchr("+*?{", *text) != nullptr) {
      const uint64_t copies = CopiesOf(&text);
      uint64_t more = 0;
      if (__builtin_mul_overflow(last, copies - 1, &more) || more > kMost) return kMost;
      last += more;
      parts[depth] += more;
      if (parts[depth] > kMost) return kMost;
      continue;
    } else {
      last = 1;
      if (*text == '[') {
        text = BehindBrackets(text);
      } else {
        text += *text == '\\' && text[1] != '\0' ? 2 : 1;
      }
    }
    parts[depth] += last;
  }
  uint64_t all = 0;
  for (size_t i = 0; i <= depth; ++i) all += parts[i];
  return all;
}

}  // namespace

bool IsExtendedRegex(const char* text) {
  constexpr uint64_t kMostParts = 4096;
  if (PartsOf(text) > kMostParts) return false;
  regex_t regex;
  if (regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0) return false;
  regfree(&regex);
  return true;
}

}  // namespace taskmem
