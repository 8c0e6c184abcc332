// What the command writes to its standard streams, and the one way in which it gives up.
#ifndef TASKMEM_TOOLS_BASE_MESSAGE_H_
#define TASKMEM_TOOLS_BASE_MESSAGE_H_

#include <fmt/format.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace taskmem {

inline constexpr int kExitUsage = 2;
// As a shell has them, of a program.
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// Opens what is closed of descriptors 0 to 2 as /dev/null, so that no file that is opened later
// is taken for a standard stream; standard output so that writing fails. Programs that are
// executed find them closed as before.
void ReserveStandardStreams();

// Writes all of it, in one piece where the system takes it, and never throws. Returns 0 or
// errno; SIGPIPE may come first, unless it is ignored.
int WriteText(int fd, std::string_view text) noexcept;

// "taskmem: <text>\n" on standard error, whether or not somebody can read it.
void SayText(std::string_view text) noexcept;

template <typename... Arguments>
void Say(fmt::format_string<Arguments...> format, Arguments&&... arguments) noexcept {
  try {
    SayText(fmt::format(format, std::forward<Arguments>(arguments)...));
  } catch (...) {
    SayText("out of memory");
  }
}

template <typename... Arguments>
[[noreturn]] void Fatal(int exit_status, fmt::format_string<Arguments...> format,
                        Arguments&&... arguments) {
  Say(format, std::forward<Arguments>(arguments)...);
  exit(exit_status);
}

// Writes what the user asked for to standard output; complains and ends the process where that
// is not possible.
void PrintOrFail(std::string_view text);

// Says in one line what the exception that is being handled is about: "<what>: out of memory".
void SayCaught(std::string_view what) noexcept;

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_MESSAGE_H_
