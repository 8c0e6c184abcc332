#include "shim/options/exit_paths.h"

#include <unistd.h>

#include <cstring>

#include "accounting/base/base_name.h"
#include "accounting/base/format_text.h"

namespace taskmem {
namespace {

// Appends to a text of a fixed size.
class Appender {
 public:
  Appender(char* text, size_t bytes) : text_(text), bytes_(bytes) { text_[0] = '\0'; }

  void Add(char c) {
    if (used_ + 1 >= bytes_) {
      fits_ = false;
      return;
    }
    text_[used_++] = c;
    text_[used_] = '\0';
  }
  // As a part of a file's name.
  void AddName(const char* name) {
    // No hidden file, and no folder's name.
    if (*name == '.') {
      Add('_');
      ++name;
    }
    for (; *name != '\0'; ++name) Add(*name == '/' ? '_' : *name);
  }
  bool fits() const { return fits_; }

 private:
  char* const text_;
  const size_t bytes_;
  size_t used_ = 0;
  bool fits_ = true;
};

}  // namespace

bool ParseExitPath(const char* pattern, char* path, size_t path_bytes) {
  for (const char* at = pattern; (at = strchr(at, '%')) != nullptr; at += 2) {
    if (at[1] == '\0' || strchr("pl%", at[1]) == nullptr) return false;
  }
  char folder[512] = "";
  if (*pattern != '/') {
    if (getcwd(folder, sizeof(folder) - 1) == nullptr || strchr(folder, '%') != nullptr) {
      return false;
    }
    strcat(folder, "/");
  }
  const int length = FormatText(path, path_bytes, "%s%s", folder, pattern);
  return length > 0 && static_cast<size_t>(length) < path_bytes;
}

bool ExpandExitPath(const char* pattern, unsigned pid, const char* label, const char* program,
                    char* path, size_t path_bytes) {
  const char* const base = BaseName(program);
  char number[16];
  FormatText(number, sizeof(number), "%u", pid);
  Appender result(path, path_bytes);
  for (const char* at = pattern; *at != '\0'; ++at) {
    if (*at != '%' || at[1] == '\0') {
      result.Add(*at);
      continue;
    }
    switch (*++at) {
      case 'p': result.AddName(number); break;
      case 'l': result.AddName(*label != '\0' ? label : base); break;
      default: result.Add(*at);
    }
  }
  return result.fits();
}

}  // namespace taskmem
