#include "shim/mapping_book/callers.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "accounting/mappings/mapping_tag.h"

// As if an allocator had been linked into this program under a prefix of its own.
extern "C" __attribute__((used, noinline)) void _linked_in_mi_heap_malloc_zero() {}

// What an allocator that is loaded here keeps for good.
extern "C" const char* __lsan_default_suppressions() { return "leak:libtcmalloc"; }

namespace taskmem {

// Nothing forks here.
void TakeBooksOver() {}

namespace {

const void* Address(void* library, const char* function) {
  void* const address = dlsym(library, function);
  EXPECT_NE(address, nullptr) << function;
  return address;
}

std::string NameAt(const void* address) { return LibraryAt(LibraryOf(address)).name; }

TEST(Callers, AreTheLibraryThatTheAddressLiesIn) {
  const void* const in_libc = Address(RTLD_DEFAULT, "gnu_get_libc_version");
  EXPECT_EQ(NameAt(in_libc), "libc.so.6");
  EXPECT_EQ(LibraryAt(LibraryOf(in_libc)).allocator, Allocator::kNone);
  EXPECT_EQ(LibraryOf(Address(RTLD_DEFAULT, "lfind")), LibraryOf(in_libc));
}

TEST(Callers, InNoLibraryAreUnknown) {
  int on_the_stack = 0;
  EXPECT_EQ(LibraryOf(&on_the_stack), 0u);
  EXPECT_EQ(LibraryOf(nullptr), 0u);
  EXPECT_STREQ(LibraryAt(0).name, "unknown");
}

TEST(Callers, AnAllocatorLinkedInIsKnownByItsSymbols) {
  const Library& own =
      LibraryAt(LibraryOf(reinterpret_cast<const void*>(&_linked_in_mi_heap_malloc_zero)));
  EXPECT_EQ(own.allocator, Allocator::kMimalloc);
  EXPECT_EQ(std::string(own.name).rfind("mimalloc in ", 0), 0u) << own.name;
  EXPECT_TRUE(own.is_sparse);
  EXPECT_TRUE(IsAllocatorsOwn(own, 4096));
}

struct Installed {
  const char* library;
  const char* function;
  Allocator allocator;
  const char* name;
};

class InstalledAllocator : public ::testing::TestWithParam<Installed> {};

TEST_P(InstalledAllocator, IsKnownByItsSymbols) {
  const Installed& installed = GetParam();
  void* const library = dlopen(installed.library, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) GTEST_SKIP() << dlerror();
  const Library& found = LibraryAt(LibraryOf(Address(library, installed.function)));
  EXPECT_EQ(found.allocator, installed.allocator);
  EXPECT_STREQ(found.name, installed.name);
}

INSTANTIATE_TEST_SUITE_P(
    , InstalledAllocator,
    ::testing::Values(Installed{"libjemalloc.so.2", "mallocx", Allocator::kJemalloc,
                                "jemalloc in libjemalloc.so.2"},
                      Installed{"libmimalloc.so.2.0", "mi_malloc", Allocator::kMimalloc,
                                "mimalloc in libmimalloc.so.2.0"},
                      Installed{"libtcmalloc_minimal.so.4", "tc_malloc", Allocator::kTcmalloc,
                                "tcmalloc in libtcmalloc_minimal.so.4"},
                      Installed{"libruby-3.1.so.3.1", "ruby_xmalloc2", Allocator::kRuby,
                                "Ruby in libruby-3.1.so.3.1"}),
    [](const auto& info) { return info.param.function; });

TEST(Callers, CPythonsOwnAreThoseOfItsArenasLengths) {
  Library python = {};
  python.allocator = Allocator::kPython;
  EXPECT_TRUE(IsAllocatorsOwn(python, 256 * 1024));
  EXPECT_TRUE(IsAllocatorsOwn(python, 1024 * 1024));
  EXPECT_FALSE(IsAllocatorsOwn(python, 512 * 1024));
  EXPECT_FALSE(IsAllocatorsOwn(Library{}, 256 * 1024));
}

TEST(Callers, RubysOwnAreNotItsPages) {
  Library ruby = {};
  ruby.allocator = Allocator::kRuby;
  EXPECT_TRUE(IsAllocatorsOwn(ruby, 32 << 20));
  EXPECT_FALSE(IsAllocatorsOwn(ruby, 64 * 1024));
}

TEST(Callers, MayBeAskedForByManyThreadsAtOnce) {
  // Libraries nobody has asked for yet.
  std::vector<const void*> addresses;
  for (const char* const name : {"libm.so.6", "libz.so.1", "libcrypt.so.1", "libstdc++.so.6"}) {
    void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    void* const address = library == nullptr ? nullptr : dlsym(library, "_init");
    if (address != nullptr) addresses.push_back(address);
  }
  addresses.push_back(Address(RTLD_DEFAULT, "sin"));
  addresses.push_back(Address(RTLD_DEFAULT, "_ZSt9terminatev"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const void* address : addresses) {
        const uint32_t library = LibraryOf(address);
        ASSERT_NE(library, 0u);
        // Those that add it at once may each have a number for it.
        EXPECT_STREQ(LibraryAt(LibraryOf(address)).name, LibraryAt(library).name);
        EXPECT_NE(LibraryAt(library).name[0], '\0');
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < LibraryCount(); ++i) EXPECT_NE(LibraryAt(i).name[0], '\0');
}

const void* Inside(void* library) { return static_cast<link_map*>(library)->l_ld; }

// Asks about a library that is each time loaded where none has been.
void FillPlaces() {
  for (uint32_t i = 0; i < MappingTag::kMaxLibraries; ++i) {
    void* const library = dlopen("libutil.so.1", RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    dl_find_object object;
    ASSERT_EQ(_dl_find_object(const_cast<void*>(Inside(library)), &object), 0);
    EXPECT_EQ(NameAt(Inside(library)), "libutil.so.1");
    dlclose(library);
    const auto bytes = static_cast<size_t>(static_cast<char*>(object.dlfo_map_end) -
                                           static_cast<char*>(object.dlfo_map_start));
    EXPECT_NE(mmap(object.dlfo_map_start, bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
              MAP_FAILED);
  }
}

// It leaves no room for others, whose files are looked at each time then.
TEST(CallersWithoutRoom, AreLookedAtOnce) {
  const std::string path = testing::TempDir() + "/libmimalloc_copy.so";
  std::error_code error;
  std::filesystem::remove(path, error);
  if (!std::filesystem::copy_file("/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0", path, error)) {
    GTEST_SKIP() << error.message();
  }
  FillPlaces();
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_EQ(NameAt(Inside(library)), "mimalloc in libmimalloc_copy.so");
  std::filesystem::remove(path);
  EXPECT_EQ(NameAt(Inside(library)), "mimalloc in libmimalloc_copy.so");
}

}  // namespace
}  // namespace taskmem
