// Every rule of the table, on smaps texts as real processes have them.
#include "tools/audit/range_rules.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace taskmem {
namespace {

std::string Line(const std::string& heading, bool no_reserve = false) {
  return heading + "\nRss:        4 kB\nVmFlags: rd wr mr mw me" + (no_reserve ? " nr" : "") +
         " \n";
}

// The labels of all ranges of a process, in order.
std::vector<std::string> Labels(const std::string& smaps, const std::vector<Module>& modules = {}) {
  const std::vector<MemoryRange> ranges = ParseSmaps(smaps);
  const ProcessFacts facts = CollectFacts(ranges, modules, "/dev/shm/taskmem-0/77-123");
  std::vector<std::string> labels;
  for (size_t i = 0; i < ranges.size(); ++i) labels.push_back(ClassifyRange(facts, i).label);
  return labels;
}

std::string LabelOf(const std::string& heading) { return Labels(Line(heading)).at(0); }

TEST(RangeRules, KnowWhatTheKernelNames) {
  EXPECT_EQ(LabelOf("7ffe78a52000-7ffe78a73000 rw-p 00000000 00:00 0    [stack]"), "main stack");
  EXPECT_EQ(LabelOf("7ffe78bd1000-7ffe78bd3000 r-xp 00000000 00:00 0    [vdso]"), "vdso");
  EXPECT_EQ(LabelOf("7ffe78bcd000-7ffe78bd1000 r--p 00000000 00:00 0    [vvar]"), "vdso");
  EXPECT_EQ(LabelOf("7ffe78bcd000-7ffe78bd1000 r--p 00000000 00:00 0    [vvar_vclock]"), "vdso");
  EXPECT_EQ(LabelOf("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]"), "vdso");
  EXPECT_EQ(LabelOf("5601d0a00000-5601d0a21000 rw-p 00000000 00:00 0    [heap]"), "brk heap");
}

TEST(RangeRules, KnowFiles) {
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:17 9 /dev/shm/taskmem-0/77-123"),
            "stats file");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:17 9 /dev/shm/other"),
            "shared memory");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /SYSV00000000 (deleted)"),
            "shared memory");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /dev/zero (deleted)"),
            "shared memory");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:01 5 [anon_shmem:a]"),
            "shared memory");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 00:01 5 /memfd:cache (deleted)"),
            "memfd");
  EXPECT_EQ(LabelOf("40000000000-40000200000 rw-s 00000000 00:01 5 /memfd:java_heap (deleted)"),
            "ZGC heap");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 fe:00 5 "
                    "/var/tmp/taskmem-0/overflow (deleted)"),
            "overflow file");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-s 00000000 fe:00 5 /tmp/sort1 (deleted)"),
            "deleted file");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 r--p 00000000 fe:00 5 /usr/lib/locale/x"), "file");
}

TEST(RangeRules, KnowModules) {
  const std::vector<Module> modules = {{0x1000, 0x9000, "/x/libtaskmem.so"},
                                       {0xa000, 0xf000, "/usr/lib/liba.so"}};
  EXPECT_EQ(Labels(Line("00002000-00003000 r-xp 00000000 fe:00 3 /x/libtaskmem.so") +
                       Line("00008000-00009000 rw-p 00000000 00:00 0 ") +
                       Line("0000a000-0000b000 r-xp 00000000 fe:00 3 /usr/lib/liba.so") +
                       Line("0000e000-0000f000 rw-p 00000000 00:00 0 ") +
                       Line("0000f000-00010000 rw-p 00000000 00:00 0 "),
                   modules),
            (std::vector<std::string>{"libtaskmem.so", "libtaskmem.so", "program or library",
                                      "program or library", "unknown"}));
}

TEST(RangeRules, KnowWhatTheLoaderTookWhileItMappedLibraries) {
  const std::vector<Module> modules = {{0x10000, 0x20000, "/usr/lib/liba.so"},
                                       {0x29000, 0x30000, "/usr/lib/ld.so"}};
  const std::string below = Line("00010000-00020000 r-xp 00000000 fe:00 3 /usr/lib/liba.so");
  const std::string above = Line("00029000-00030000 r-xp 00000000 fe:00 3 /usr/lib/ld.so");
  const std::string anonymous = "00020000-00029000 rw-p 00000000 00:00 0 ";
  EXPECT_EQ(Labels(below + Line(anonymous) + above, modules)[1], "loader");
  EXPECT_EQ(Labels(below + Line(anonymous), modules)[1], "unknown");
  EXPECT_EQ(Labels(Line(anonymous) + above, modules)[0], "unknown");
  EXPECT_EQ(Labels(below + Line("00020000-00029000 rwxp 00000000 00:00 0 ") + above, modules)[1],
            "unknown");
}

TEST(RangeRules, AreAllReachedAndEndWithWhatIsUnknown) {
  std::set<std::string> labels;
  for (size_t i = 0; i < kRangeRuleCount; ++i) labels.insert(kRangeRules[i].label);
  EXPECT_EQ(labels.size(), kRangeRuleCount);
  EXPECT_EQ(kRangeRules[kRangeRuleCount - 1].ledger_class, LedgerClass::kUnknown);
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 "), "unknown");
  EXPECT_EQ(LabelOf("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 [anon:mine]"), "unknown");
}

}  // namespace
}  // namespace taskmem
