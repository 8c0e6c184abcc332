#include "spill/files/spill_names.h"

#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstring>

namespace taskmem {
namespace {

// Takes `prefix` from the front of `text`. (starts_with may throw, as far as the compiler
// knows.)
bool Take(std::string_view* text, std::string_view prefix) {
  if (text->size() < prefix.size() || memcmp(text->data(), prefix.data(), prefix.size()) != 0) {
    return false;
  }
  text->remove_prefix(prefix.size());
  return true;
}

// Takes a number without sign or needless zeros.
bool TakeNumber(std::string_view* text, uint64_t max, uint64_t* number) {
  uint64_t value = 0;
  size_t digits = 0;
  for (; digits < text->size() && (*text)[digits] >= '0' && (*text)[digits] <= '9'; ++digits) {
    const uint64_t digit = static_cast<uint64_t>((*text)[digits] - '0');
    if (value > (max - digit) / 10) return false;
    value = value * 10 + digit;
  }
  if (digits == 0 || (digits > 1 && (*text)[0] == '0')) return false;
  text->remove_prefix(digits);
  *number = value;
  return true;
}

bool TakeHash(std::string_view* text) {
  constexpr size_t kDigits = 16;
  if (text->size() < kDigits) return false;
  for (size_t i = 0; i < kDigits; ++i) {
    const char c = (*text)[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  text->remove_prefix(kDigits);
  return true;
}

}  // namespace

void WriteSpillDirName(const SpillDirName& name, char (&text)[kMaxSpillNameBytes]) {
  const int length = snprintf(text, sizeof(text), "taskmem-%d-%" PRIu64, name.pid, name.start_time);
  if (name.suffix == 0) return;
  snprintf(text + length, sizeof(text) - static_cast<size_t>(length), "-%" PRIu32, name.suffix);
}

bool ParseSpillDirName(std::string_view text, SpillDirName* name) {
  uint64_t pid;
  uint64_t start_time;
  uint64_t suffix = 0;
  if (!Take(&text, "taskmem-") || !TakeNumber(&text, INT_MAX, &pid) || pid == 0 ||
      !Take(&text, "-") || !TakeNumber(&text, UINT64_MAX, &start_time)) {
    return false;
  }
  if (!text.empty() &&
      (!Take(&text, "-") || !TakeNumber(&text, UINT32_MAX, &suffix) || suffix == 0)) {
    return false;
  }
  if (!text.empty()) return false;
  *name = {static_cast<pid_t>(pid), start_time, static_cast<uint32_t>(suffix)};
  return true;
}

void WriteBlockFileName(uint64_t hash, uint64_t number, bool is_new,
                        char (&text)[kMaxSpillNameBytes]) {
  snprintf(text, sizeof(text), "block-%016" PRIx64 "-%" PRIu64 "%s", hash, number,
           is_new ? ".new" : "");
}

void WriteUnlinkedFileName(uint32_t number, char (&text)[kMaxSpillNameBytes]) {
  snprintf(text, sizeof(text), "unlinked-%" PRIu32, number);
}

bool IsSpillFileName(std::string_view text) {
  uint64_t number;
  if (Take(&text, "unlinked-")) return TakeNumber(&text, UINT32_MAX, &number) && text.empty();
  if (!Take(&text, "block-") || !TakeHash(&text) || !Take(&text, "-") ||
      !TakeNumber(&text, UINT64_MAX, &number)) {
    return false;
  }
  return text.empty() || text == ".new";
}

}  // namespace taskmem
