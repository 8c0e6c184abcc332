#include "shim/code/code_name.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace taskmem {
namespace {

CodeName NameOf(uint64_t return_address) {
  const auto scratch = std::make_unique<CodeNameScratch>();
  CodeName name;
  NameCall(return_address, scratch.get(), &name);
  return name;
}

std::string Plain(const char* symbol) {
  char name[32];
  PlainName(symbol, name, sizeof(name));
  return name;
}

__attribute__((noinline)) CodeName NameOfCaller() {
  return NameOf(reinterpret_cast<uint64_t>(__builtin_return_address(0)));
}

__attribute__((noinline)) CodeName AsksForItsName() {
  const CodeName name = NameOfCaller();
  __asm__ volatile("");  // no jump to it
  return name;
}

TEST(CodeName, IsThatOfTheCallingFunction) {
  for (int i = 0; i < 3; ++i) {
    const CodeName name = AsksForItsName();
    EXPECT_STREQ(name.function, "taskmem::(anonymous)::AsksForItsName");
    EXPECT_STREQ(name.library, "code_name_test");
    EXPECT_GT(name.offset, 0u);
  }
}

TEST(CodeName, IsOfALibrary) {
  // Sanitizers have a function of that name, too.
  void* const code = dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), "qsort");
  ASSERT_NE(code, nullptr);
  const CodeName name = NameOf(reinterpret_cast<uint64_t>(code) + 1);
  EXPECT_STREQ(name.library, "libc.so.6");
  EXPECT_STREQ(name.function, "qsort");
}

TEST(CodeName, OfNoLibraryIsNone) {
  void* const code = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const CodeName name = NameOf(reinterpret_cast<uint64_t>(code) + 100);
  EXPECT_STREQ(name.library, "");
  EXPECT_STREQ(name.function, "");
  munmap(code, 4096);
}

TEST(PlainName, HasNoParameters) {
  EXPECT_EQ(Plain("main"), "main");
  EXPECT_EQ(Plain("Unsafe_AllocateMemory0"), "Unsafe_AllocateMemory0");
  EXPECT_EQ(Plain("_ZN2os6mallocEm8MEMFLAGS"), "os::malloc");
  EXPECT_EQ(Plain("_ZNK3foo3barEv"), "foo::bar");
  EXPECT_EQ(Plain("_ZL4funci"), "func");
  EXPECT_EQ(Plain("_Z4funci"), "func");
  EXPECT_EQ(Plain("_ZN12_GLOBAL__N_13oneEv"), "(anonymous)::one");
  EXPECT_EQ(Plain("_ZNSt6vectorIiSaIiEE7reserveEm"), "std::vector");
  EXPECT_EQ(Plain("_Znwm"), "operator new");
  EXPECT_EQ(Plain("_ZnamRKSt9nothrow_t"), "operator new[]");
  EXPECT_EQ(Plain("_ZN5alloc3vec17h0123456789abcdefE"), "alloc::vec");
}

TEST(PlainName, WhatIsNotUnderstoodIsAsItWas) {
  for (const char* symbol :
       {"", "_Z", "_ZN", "_ZN99short", "_ZN9999999999999999999x", "_RNvC3foo"}) {
    EXPECT_EQ(Plain(symbol), symbol);
  }
  EXPECT_EQ(Plain("_ZN40a_name_that_is_longer_than_what_is_given3barEv").size(), 31u);
}

}  // namespace
}  // namespace taskmem
