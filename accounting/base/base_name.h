// A file's name without its folder.
#ifndef TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_
#define TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_

#include <cstring>

namespace taskmem {

// A part of `path`.
inline const char* BaseName(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_
