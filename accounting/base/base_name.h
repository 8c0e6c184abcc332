// Names of files without their folders.
#ifndef TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_
#define TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_

#include <cstring>

namespace taskmem {

// What is behind the last slash of `path`, in `path`; all of it where there is none.
inline const char* BaseName(const char* path) {
  const char* const slash = strrchr(path, '/');
  return slash != nullptr ? slash + 1 : path;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_BASE_NAME_H_
