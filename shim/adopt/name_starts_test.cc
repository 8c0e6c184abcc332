#include "shim/adopt/name_starts.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace taskmem::adopt {
namespace {

// Names as a linker writes them, and the symbols that have them.
struct Names {
  std::string text = std::string(1, '\0');
  std::vector<Elf64_Sym> symbols = {Elf64_Sym{}};

  uint32_t Add(const std::string& name) {
    const auto start = static_cast<uint32_t>(text.size());
    text += name;
    text += '\0';
    AddAt(start);
    return start;
  }
  void AddAt(uint32_t start) {
    symbols.emplace_back();
    symbols.back().st_name = start;
  }
  NameStarts Starts(bool has_own_names = true) const {
    return NameStarts(symbols.data(), symbols.size(), text.size(), has_own_names);
  }
};

TEST(NameStarts, TellShortNamesFromLongOnes) {
  Names names;
  const uint32_t before = names.Add(std::string(300, 'a'));
  const uint32_t it = names.Add("je_mallctlnametomib");
  const uint32_t behind = names.Add(std::string(300, 'b'));
  const uint32_t last = names.Add("je_malloc");
  const NameStarts starts = names.Starts();
  EXPECT_TRUE(starts.MayBeShort(it, 48));
  EXPECT_TRUE(starts.MayBeShort(last, 48));
  EXPECT_FALSE(starts.MayBeShort(before, 48));
  EXPECT_FALSE(starts.MayBeShort(behind, NameStarts::kMostBytes));
}

TEST(NameStarts, OfANameThatIsAnothersEndAreTold) {
  Names names;
  const uint32_t whole = names.Add(std::string(30, 'x') + "_malloc");
  names.AddAt(whole + 31);
  names.Add(std::string(300, 'b'));
  const NameStarts starts = names.Starts();
  EXPECT_TRUE(starts.MayBeShort(whole, 48));
  EXPECT_TRUE(starts.MayBeShort(whole + 31, 48));
}

// Such tables have names that no symbol has: of libraries, and of versions.
TEST(NameStarts, OfOtherTablesMayAllBeShort) {
  Names names;
  const uint32_t name = names.Add(std::string(300, 'a'));
  names.Add("b");
  EXPECT_TRUE(names.Starts(/*has_own_names=*/false).MayBeShort(name, 48));
}

TEST(NameStarts, BelieveNothingThatASymbolSays) {
  Names names;
  names.Add("malloc");
  names.AddAt(UINT32_MAX);
  names.AddAt(static_cast<uint32_t>(names.text.size()));
  const NameStarts starts = names.Starts();
  EXPECT_TRUE(starts.MayBeShort(UINT32_MAX, 48));
  EXPECT_FALSE(starts.MayBeShort(names.text.size(), 48));  // none begins there
  EXPECT_TRUE(NameStarts(nullptr, 0, 0, true).MayBeShort(0, 48));
}

TEST(NameStarts, NeverTakeAShortNameForALongOne) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    Names names;
    std::vector<std::pair<uint32_t, size_t>> all;
    for (int i = 0; i < 200; ++i) {
      const size_t bytes =
          NameStarts::kLeastBytes + (random() % 3 == 0 ? random() % 60 : random() % 400);
      all.emplace_back(names.Add(std::string(bytes, 'n')), bytes);
    }
    const NameStarts starts = names.Starts();
    for (const auto& [start, bytes] : all) {
      for (const size_t most : {size_t{4}, size_t{31}, size_t{48}, NameStarts::kMostBytes}) {
        const bool may_be = starts.MayBeShort(start, most);
        EXPECT_TRUE(may_be || bytes > most) << bytes << " " << most;
        EXPECT_TRUE(!may_be || bytes <= most + 8) << bytes << " " << most;
      }
    }
  }
}

}  // namespace
}  // namespace taskmem::adopt
