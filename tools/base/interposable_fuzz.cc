// Programs whose first bytes are anything.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/support/fuzz_driver.h"
#include "tools/base/interposable.h"

namespace taskmem {

std::vector<std::string> FuzzSeeds() {
  constexpr size_t kMostBytes = 4096;
  return {FileContents("/bin/true").substr(0, kMostBytes),
          FileContents("/proc/self/exe").substr(0, kMostBytes), "#!/bin/sh -e\nexit 7\n",
          "#! /usr/bin/env python3\n", "echo\n"};
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  static const std::string path = [] {
    const char* folder = getenv("TEST_TMPDIR");
    return std::string(folder != nullptr ? folder : "/tmp") + "/interposable_fuzz." +
           std::to_string(getpid());
  }();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  chmod(path.c_str(), 0700);
  taskmem::WhyNotInterposable(path);
  unlink(path.c_str());
  return 0;
}
