// What people call a program: "python3 job.py", not "python3.11".
#ifndef TASKMEM_SHIM_PUBLISHED_PROGRAM_TITLE_H_
#define TASKMEM_SHIM_PUBLISHED_PROGRAM_TITLE_H_

#include <cstddef>

namespace taskmem {

// The name of what was executed, `path`, or what it was called as where that is the same but for a
// version; and of an interpreter's arguments the script, the module, or Java's main class, without
// folders. An interpreter that runs a text of its command line is named by its name alone: such
// texts, and other arguments, are the user's business. Cut to `bytes`, NUL-terminated.
void DescribeProgram(const char* path, int argc, const char* const* argv, char* title,
                     size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_PROGRAM_TITLE_H_
