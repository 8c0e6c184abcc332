#include "tools/audit/jvm_parts.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <unistd.h>

extern "C" const void* JvmTesting();

namespace taskmem {
namespace {

// The library is linked for an address of its own, as no JVM is so far.
TEST(JvmPartsTest, AreFoundWhereverTheLibraryIsLinkedFor) {
  dl_find_object found;
  ASSERT_EQ(_dl_find_object(const_cast<void*>(JvmTesting()), &found), 0);
  const std::vector<Module> modules = {{.start = reinterpret_cast<uint64_t>(found.dlfo_map_start),
                                        .end = reinterpret_cast<uint64_t>(found.dlfo_map_end),
                                        .path = "/somewhere/libjvm.so"}};
  ASSERT_NE(modules[0].start, found.dlfo_link_map->l_addr);
  const std::vector<JvmPart> parts = FindJvmParts(modules, RemoteMemory(getpid()));
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].start, 0x10000u);
  EXPECT_EQ(parts[0].end, 0x30000u);
}

}  // namespace
}  // namespace taskmem
