// Directories of a user in places where everybody may make some: /dev/shm and /var/tmp.
//
//   <parent>/taskmem-<uid>                      uid: the effective user's
//   <parent>/taskmem-<uid>-<16 hex digits>      where somebody else has that name
//
// Whoever comes first may have the first name: with a directory of his own, a link, a file. So
// a directory is used only if it is, by its descriptor, a directory of this user that nobody else
// may enter (mode 0700); what is in it is reached from that descriptor. Who meets anything else
// under the first name takes the first of the other names that is such a directory, or makes one
// with a name that nobody can foresee. Readers look at all of them.
//
// No allocation, no lock. Below malloc.
#ifndef TASKMEM_SHIM_BASE_USER_DIRECTORY_H_
#define TASKMEM_SHIM_BASE_USER_DIRECTORY_H_

#include <cstddef>

namespace taskmem {

// Of a path, with its NUL. Parents have up to 32 bytes.
inline constexpr size_t kUserDirectoryBytes = 80;

// A descriptor of the directory of this user in `parent`, the caller's to close; its path in
// `path`. Makes one where there is none. -errno where that fails.
int OpenUserDirectory(const char* parent, char (&path)[kUserDirectoryBytes]);

// A descriptor of the directory `path`, the caller's to close. -EPERM: it is not this user's
// own, or others may enter it. Otherwise -errno.
int OpenOwnDirectory(const char* path);

// visit(context, path, descriptor) for each directory of this user in `parent`. The descriptor is
// closed after the call.
void ForEachUserDirectory(const char* parent,
                          void (*visit)(void* context, const char* path, int fd), void* context);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_USER_DIRECTORY_H_
