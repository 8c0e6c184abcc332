#include "tools/sites/symboliser.h"

#include <gtest/gtest.h>
#include <search.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"

namespace taskmem {
namespace outer {

__attribute__((noinline)) uint64_t WhereAmI(int) {
  return reinterpret_cast<uint64_t>(__builtin_return_address(0));
}

// Both are in the code of the one that calls them, if anything is.
inline __attribute__((always_inline)) uint64_t Innermost() {
  uint64_t here;
  asm volatile("leaq 0(%%rip), %0" : "=r"(here));
  return here;
}
inline __attribute__((always_inline)) uint64_t Between() { return Innermost() + 0; }
__attribute__((noinline)) uint64_t Outermost() { return Between(); }

}  // namespace outer
namespace {

std::vector<Module> ModulesOf(pid_t pid) {
  return FindModules(ReadSmaps(pid).value(), RemoteMemory(pid));
}

TEST(Symboliser, DemanglesWhatIsMangled) {
  EXPECT_EQ(Demangle("_ZN3foo3barEi"), "foo::bar(int)");
  EXPECT_EQ(Demangle("malloc"), "malloc");
  EXPECT_EQ(Demangle(""), "");
}

TEST(Symboliser, KnowsThisProgramsFunctions) {
  Symboliser symboliser(ModulesOf(getpid()));
  const Symbol symbol = symboliser.Of(reinterpret_cast<uint64_t>(&outer::WhereAmI) + 1).back();
  EXPECT_EQ(symbol.function, "taskmem::outer::WhereAmI(int)");
  EXPECT_NE(symbol.module, "");
  EXPECT_EQ(symbol.Text(), "taskmem::outer::WhereAmI(int) (" + symbol.module + ")");
  const Symbol caller = symboliser.OfReturnAddress(outer::WhereAmI(1)).back();
  EXPECT_NE(caller.function.find("KnowsThisProgramsFunctions"), std::string::npos)
      << caller.function;
}

TEST(Symboliser, KnowsWhatWasInlined) {
  Symboliser symboliser(ModulesOf(getpid()));
  const std::vector<Symbol> symbols = symboliser.Of(outer::Outermost());
  if (symbols.size() == 1) GTEST_SKIP() << "without debug information";
  ASSERT_EQ(symbols.size(), 3u);
  const char* const names[] = {"Innermost", "Between", "Outermost"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(symbols[i].function, "taskmem::outer::" + std::string(names[i]) + "()");
    EXPECT_EQ(symbols[i].is_inlined, i < 2);
    EXPECT_TRUE(symbols[i].file.ends_with("symboliser_test.cc")) << symbols[i].file;
  }
  EXPECT_LT(symbols[0].line, symbols[1].line);
  EXPECT_LT(symbols[1].line, symbols[2].line);
}

TEST(Symboliser, KnowsLibraries) {
  Symboliser symboliser(ModulesOf(getpid()));
  // A function that no sanitizer has, too.
  const Symbol symbol = symboliser.Of(reinterpret_cast<uint64_t>(&lfind) + 1).back();
  EXPECT_EQ(symbol.module, "libc.so.6");
  EXPECT_NE(symbol.function.find("lfind"), std::string::npos);
}

TEST(Symboliser, SaysWhereThereIsNoModule) {
  void* page = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  Symboliser symboliser(ModulesOf(getpid()));
  EXPECT_EQ(symboliser.Of(reinterpret_cast<uint64_t>(page))[0].Text(), "[generated code]");
  EXPECT_EQ(symboliser.Of(0)[0].Text(), "[generated code]");
  munmap(page, 4096);
  Symboliser nobody({});
  EXPECT_EQ(nobody.Of(reinterpret_cast<uint64_t>(&qsort))[0].Text(), "[generated code]");
}

TEST(Symboliser, KnowsAtLeastTheModuleWhereItsFileIsGone) {
  Symboliser symboliser({{0x10000, 0x20000, "/no/such/liba.so (deleted)"}});
  EXPECT_EQ(symboliser.Of(0x12345)[0].Text(), "[liba.so (deleted)]");
}

}  // namespace
}  // namespace taskmem
