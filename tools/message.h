// Lines on standard error, and the one way in which the command gives up.
#ifndef TASKMEM_TOOLS_MESSAGE_H_
#define TASKMEM_TOOLS_MESSAGE_H_

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace taskmem {

inline constexpr int kExitUsage = 2;

// "taskmem: <formatted>\n" on standard error.
template <typename... Arguments>
void Say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  const std::string text = fmt::format(format, std::forward<Arguments>(arguments)...);
  fmt::print(stderr, "taskmem: {}\n", text);
}

template <typename... Arguments>
[[noreturn]] void Fatal(int exit_status, fmt::format_string<Arguments...> format,
                        Arguments&&... arguments) {
  Say(format, std::forward<Arguments>(arguments)...);
  exit(exit_status);
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_MESSAGE_H_
