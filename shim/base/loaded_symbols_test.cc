#include "shim/base/loaded_symbols.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <gtest/gtest.h>

#include "shim/base/old_hash_testing.h"

namespace taskmem {
namespace {

class LoadedSymbolsTest : public testing::Test {
 protected:
  // A function that no sanitizer has, too.
  LoadedSymbols libc_ = LoadedSymbols::Around(reinterpret_cast<void*>(&gnu_get_libc_version));
};

TEST_F(LoadedSymbolsTest, FindsWhatTheLoaderFinds) {
  void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  ASSERT_NE(libc, nullptr);
  for (const char* name :
       {"malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign",
        "valloc", "pvalloc", "malloc_usable_size", "pthread_create", "fclose", "fork", "qsort"}) {
    const LoadedSymbols::Function function = libc_.Find(name);
    EXPECT_EQ(function.code, dlsym(libc, name)) << name;
    EXPECT_GT(function.bytes, 0u) << name;
  }
}

TEST_F(LoadedSymbolsTest, FindsNothingElse) {
  EXPECT_EQ(libc_.Find("").code, nullptr);
  EXPECT_EQ(libc_.Find("no_function_of_that_name").code, nullptr);
  EXPECT_EQ(libc_.Find("environ").code, nullptr);  // no function
  int local = 0;
  EXPECT_EQ(LoadedSymbols::Around(&local).Find("malloc").code, nullptr);
}

TEST(OldHashTest, FindsTheSame) {
  const auto symbols = LoadedSymbols::Around(reinterpret_cast<void*>(&OldHashOne));
  EXPECT_EQ(symbols.Find("OldHashOne").code, reinterpret_cast<void*>(&OldHashOne));
  EXPECT_EQ(symbols.Find("OldHashTwo").code, reinterpret_cast<void*>(&OldHashTwo));
  EXPECT_EQ(symbols.Find("old_hash_data", STT_OBJECT).bytes, sizeof(old_hash_data));
  EXPECT_EQ(symbols.Find("OldHashThree").code, nullptr);
  EXPECT_EQ(symbols.Find("").code, nullptr);
}

}  // namespace
}  // namespace taskmem
