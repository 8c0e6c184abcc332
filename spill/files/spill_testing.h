// What tests of the disk share.
#ifndef TASKMEM_SPILL_FILES_SPILL_TESTING_H_
#define TASKMEM_SPILL_FILES_SPILL_TESTING_H_

#include <dirent.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "spill/files/disk_error.h"

namespace taskmem {

// A directory of the test's own, removed with everything in it.
class TestDirectory {
 public:
  TestDirectory() {
    const char* const parent = getenv("TEST_TMPDIR");
    std::string path = std::string(parent != nullptr ? parent : "/var/tmp") + "/spillXXXXXX";
    if (mkdtemp(path.data()) == nullptr) abort();
    path_ = path;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Sorted; empty where there is no such directory.
inline std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  DIR* const stream = opendir(directory.c_str());
  if (stream == nullptr) return names;
  while (const dirent* const entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

inline std::string RandomBytes(uint64_t seed, size_t count) {
  std::mt19937_64 random(seed);
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

inline int OpenDescriptors() { return static_cast<int>(NamesIn("/proc/self/fd").size()); }

inline std::string TextOf(const DiskError& error) {
  char text[256];
  Describe(error, text, sizeof(text));
  return text;
}

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_SPILL_TESTING_H_
