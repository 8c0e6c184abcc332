#include "shim/options/variables.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "accounting/base/format_text.h"
#include "shim/base/environment.h"
#include "shim/options/exit_paths.h"
#include "shim/options/option_table.h"
#include "shim/options/options.h"

namespace taskmem {
namespace {

constexpr char kSaid[] = "TASKMEM_SAID_UNKNOWN";
constexpr char kPrefix[] = "TASKMEM_";
constexpr size_t kPrefixBytes = sizeof(kPrefix) - 1;
constexpr size_t kNameBytes = 48;  // of those that are compared

// What else is read or handed on. Prefixes where they end with '_'.
constexpr const char* kOthers[] = {"TASKMEM_SESSION",  "TASKMEM_AUDITED_BY",   "TASKMEM_COMMAND",
                                   kExitStatsVariable, kExitAuditFileVariable, "TASKMEM_SAID_",
                                   "TASKMEM_DEBUG_"};

bool IsKnown(const char* name, size_t bytes) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const char* const variable = kOptions[i].variable;
    if (strlen(variable) == bytes && strncmp(variable, name, bytes) == 0) return true;
  }
  return std::any_of(std::begin(kOthers), std::end(kOthers), [=](const char* other) {
    const size_t length = strlen(other);
    const bool is_prefix = other[length - 1] == '_';
    return (is_prefix ? bytes > length : bytes == length) && strncmp(other, name, length) == 0;
  });
}

// How many letters must be put in, left out or changed to make one of the other. At most
// kNameBytes each.
size_t Distance(const char* a, size_t a_bytes, const char* b, size_t b_bytes) {
  size_t row[kNameBytes + 1];
  for (size_t j = 0; j <= b_bytes; ++j) row[j] = j;
  for (size_t i = 1; i <= a_bytes; ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_bytes; ++j) {
      const size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b_bytes];
}

const char* Nearest(const char* name, size_t bytes) {
  constexpr size_t kFarthest = 3;
  if (bytes > kNameBytes) return nullptr;
  const char* nearest = nullptr;
  size_t least = kFarthest + 1;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const char* const variable = kOptions[i].variable;
    const size_t distance = Distance(name, bytes, variable, strlen(variable));
    if (distance >= least) continue;
    least = distance;
    nearest = variable;
  }
  return nearest;
}

}  // namespace

void SayUnknownVariables(void (*say)(const char* line)) {
  if (environ == nullptr || IsPrivileged() || EnvironmentVariable(kSaid) != nullptr) return;
  bool has_some = false;
  for (char** at = environ; *at != nullptr; ++at) {
    if (strncmp(*at, kPrefix, kPrefixBytes) != 0) continue;
    const size_t bytes = strcspn(*at, "=");
    if (IsKnown(*at, bytes)) continue;
    char name[kNameBytes + 1];
    FormatText(name, sizeof(name), "%.*s", static_cast<int>(bytes), *at);
    char line[256];
    const char* const nearest = Nearest(*at, bytes);
    if (nearest != nullptr) {
      FormatText(line, sizeof(line), "%s is not a variable of taskmem: is %s meant?", name,
                 nearest);
    } else {
      FormatText(line, sizeof(line), "%s is not a variable of taskmem", name);
    }
    say(line);
    has_some = true;
  }
  // It changes the list that was walked.
  if (has_some) setenv(kSaid, "1", 0);
}

void DescribeSetOptions(char* text, size_t bytes) {
  text[0] = '\0';
  size_t used = 0;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const char* const value = EnvironmentVariable(kOptions[i].variable);
    if (value == nullptr || *value == '\0') continue;
    const int more = FormatText(text + used, bytes - used, " %s=%s", kOptions[i].variable, value);
    if (more < 0 || static_cast<size_t>(more) >= bytes - used) return;
    used += static_cast<size_t>(more);
  }
}

}  // namespace taskmem
