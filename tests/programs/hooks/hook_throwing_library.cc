// A hook that throws, in a library with a C++ runtime of its own.
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>

extern "C" uint64_t ThrowingHook(void*, uint64_t, uint64_t) {
  throw std::runtime_error(std::string(1000, 'x'));
}

extern "C" int UncaughtExceptions() { return std::uncaught_exceptions(); }
