// Fuzzers of what the command reads from others. Each is a function as libFuzzer wants it,
//
//   extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);
//
// with the inputs to begin with. This driver mutates them for some seconds in every test run;
// --seconds=600 does so for longer, and clang's -fsanitize=fuzzer takes its place.
#ifndef TASKMEM_TESTS_SUPPORT_FUZZ_DRIVER_H_
#define TASKMEM_TESTS_SUPPORT_FUZZ_DRIVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);

namespace taskmem {

// Of the fuzzer: taken from real processes, or made as they make them.
std::vector<std::string> FuzzSeeds();

// Ends the process with a message unless it holds.
#define FUZZ_CHECK(condition) \
  ((condition) ? void() : ::taskmem::FuzzFailed(#condition, __FILE__, __LINE__))
[[noreturn]] void FuzzFailed(const char* condition, const char* file, int line);

// The contents of a file of /proc or of the file system; empty where it cannot be read.
std::string FileContents(const std::string& path);

// Neither control characters but line ends, nor bytes that are no UTF-8.
bool IsPrintableText(std::string_view text);

}  // namespace taskmem

#endif  // TASKMEM_TESTS_SUPPORT_FUZZ_DRIVER_H_
