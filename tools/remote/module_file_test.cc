#include "tools/remote/module_file.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "accounting/audit/unloaded_code.h"
#include "tools/remote/smaps.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

// A library in a folder of its own, loaded by this process.
class ModuleFile : public ::testing::Test {
 protected:
  ModuleFile() {
    folder_ = fs::path(getenv("TEST_TMPDIR")) / "module_file";
    fs::remove_all(folder_);
    fs::create_directory(folder_);
    library_ = folder_ / "libcopy.so";
    fs::copy_file("/lib/x86_64-linux-gnu/libanl.so.1", library_);
    handle_ = dlopen(library_.c_str(), RTLD_NOW);
  }
  ~ModuleFile() override {
    if (handle_ != nullptr) dlclose(handle_);
  }

  std::vector<Module> Modules() { return FindModules(ReadSmaps(getpid()).value(), memory_); }
  Module* Find(std::vector<Module>* modules) {
    for (Module& module : *modules) {
      if (module.path.starts_with(library_.string())) return &module;
    }
    return nullptr;
  }
  static bool Opens(const Module& module) {
    const int fd = OpenModuleFile(module);
    if (fd >= 0) close(fd);
    return fd >= 0;
  }

  fs::path folder_;
  fs::path library_;
  void* handle_ = nullptr;
  const RemoteMemory memory_{getpid()};
};

TEST_F(ModuleFile, IsTheOneThatIsLoaded) {
  ASSERT_NE(handle_, nullptr) << dlerror();
  std::vector<Module> modules = Modules();
  const Module* const module = Find(&modules);
  ASSERT_NE(module, nullptr);
  EXPECT_TRUE(Opens(*module));
  // Another of its name.
  fs::remove(library_);
  EXPECT_FALSE(Opens(*module));
  fs::copy_file("/lib/x86_64-linux-gnu/libdl.so.2", library_);
  EXPECT_FALSE(Opens(*module));
  fs::remove(library_);
  ASSERT_EQ(mkfifo(library_.c_str(), 0600), 0);
  EXPECT_FALSE(Opens(*module));
}

TEST_F(ModuleFile, IsFoundWhereItHasBeenDeletedOrReplaced) {
  ASSERT_NE(handle_, nullptr) << dlerror();
  fs::remove(library_);
  for (const bool is_replaced : {false, true}) {
    if (is_replaced) fs::copy_file("/lib/x86_64-linux-gnu/libdl.so.2", library_);
    std::vector<Module> modules = Modules();
    Module* module = Find(&modules);
    ASSERT_NE(module, nullptr);
    EXPECT_TRUE(module->path.ends_with(" (deleted)"));
    EXPECT_FALSE(Opens(*module));
    HoldModuleFiles(getpid(), memory_, {module->start + 0x1001}, &modules);
    module = Find(&modules);
    ASSERT_TRUE(Opens(*module));
    const int fd = OpenModuleFile(*module);
    char beginning[kFingerprintBytes];
    EXPECT_EQ(pread(fd, beginning, 64, 0), 64);
    EXPECT_EQ(memcmp(beginning,
                     "\x7f"
                     "ELF",
                     4),
              0);
    close(fd);
  }
}

}  // namespace
}  // namespace taskmem
