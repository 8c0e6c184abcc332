// Whether a program can be interposed at all: LD_PRELOAD is the dynamic
// loader's, and not every program is loaded by it.
#ifndef TASKMEM_TOOLS_BASE_INTERPOSABLE_H_
#define TASKMEM_TOOLS_BASE_INTERPOSABLE_H_

#include <optional>
#include <string>

namespace taskmem {

// The path that `program` stands for, by PATH as execvp finds it. Nothing and
// `*error` (ENOENT or EACCES) where it cannot be executed.
std::optional<std::string> FindProgram(const std::string& program, int* error);

// The same. Where it cannot be executed the command ends, with a line and the status of a shell.
std::string FindProgramOrFail(const std::string& program);

// Why the program at `path`, or the interpreter its first line names, cannot be
// interposed ("it is statically linked"); nothing where it can.
std::optional<std::string> WhyNotInterposable(const std::string& path);

// Why the loader will not load the file at `path` into a program, as far as its first bytes tell
// ("it is no shared library"); nothing where it may.
std::optional<std::string> WhyNotLoadable(const std::string& path);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_INTERPOSABLE_H_
