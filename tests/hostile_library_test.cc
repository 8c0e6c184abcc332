// Libraries whose files are damaged or lie: whoever loads one and lives without the preload lives
// with it, and sees the same. Damage comes from a seed; TASKMEM_TEST_SEED and TASKMEM_TEST_ROUNDS
// choose others.
#include <elf.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

class Mutant {
 public:
  Mutant(const std::string& path, uint64_t seed) : random_(seed) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    memcpy(&header_, bytes_.data(), sizeof(header_));
    for (uint64_t count = 1 + random_() % 3; count > 0; --count) Damage();
  }

  const std::string& bytes() const { return bytes_; }
  const std::string& what() const { return what_; }

 private:
  static constexpr uint64_t kSome[] = {0,
                                       1,
                                       7,
                                       0x1000,
                                       0xfff1,
                                       0xffff,
                                       0x7fffffff,
                                       0xffffffff,
                                       UINT64_MAX,
                                       UINT64_MAX - 4095,
                                       uint64_t{1} << 47,
                                       uint64_t{1} << 40};

  uint64_t Value() {
    return random_() % 2 == 0 ? kSome[random_() % std::size(kSome)] : random_() % bytes_.size();
  }
  void Write(uint64_t at, uint64_t value, size_t bytes) {
    if (at > bytes_.size() || bytes > bytes_.size() - at) return;
    memcpy(&bytes_[at], &value, bytes);
    what_ += " " + std::to_string(bytes) + "@" + std::to_string(at) + "=" + std::to_string(value);
  }
  Elf64_Shdr SectionAt(uint32_t index) const {
    Elf64_Shdr section = {};
    memcpy(&section, &bytes_[header_.e_shoff + index * sizeof(section)], sizeof(section));
    return section;
  }
  // Of the type, the last; as the file had it, or has it by now.
  Elf64_Shdr SectionOf(uint32_t type) const {
    Elf64_Shdr found = {};
    for (uint32_t i = 0; i < header_.e_shnum; ++i) {
      const Elf64_Shdr section = SectionAt(i);
      if (section.sh_type == type) found = section;
    }
    return found;
  }

  void DamageSymbol(uint32_t type) {
    const Elf64_Shdr table = SectionOf(type);
    const uint64_t count = table.sh_size / sizeof(Elf64_Sym);
    if (count == 0 || table.sh_offset > bytes_.size() || table.sh_size > bytes_.size()) return;
    // One, or many.
    const uint64_t step = random_() % 3 == 0 ? 1 : count;
    const uint64_t field = random_() % 5;
    for (uint64_t i = random_() % count; i < count; i += step) {
      const uint64_t at = table.sh_offset + i * sizeof(Elf64_Sym);
      switch (field) {
        case 0: Write(at + offsetof(Elf64_Sym, st_value), Value(), 8); break;
        case 1: Write(at + offsetof(Elf64_Sym, st_size), Value(), 8); break;
        case 2: Write(at + offsetof(Elf64_Sym, st_name), Value(), 4); break;
        case 3: Write(at + offsetof(Elf64_Sym, st_shndx), Value(), 2); break;
        // A little further: amid its function, or in the next.
        default: {
          uint64_t value = 0;
          if (at > bytes_.size() - sizeof(Elf64_Sym)) break;
          memcpy(&value, &bytes_[at + offsetof(Elf64_Sym, st_value)], sizeof(value));
          Write(at + offsetof(Elf64_Sym, st_value), value + 1 + random_() % 64, 8);
        }
      }
    }
  }
  void DamageSection() {
    static constexpr size_t kFields[] = {
        offsetof(Elf64_Shdr, sh_type), offsetof(Elf64_Shdr, sh_flags),
        offsetof(Elf64_Shdr, sh_addr), offsetof(Elf64_Shdr, sh_offset),
        offsetof(Elf64_Shdr, sh_size), offsetof(Elf64_Shdr, sh_link)};
    const size_t field = kFields[random_() % std::size(kFields)];
    const size_t bytes = field == 4 || field == offsetof(Elf64_Shdr, sh_link) ? 4 : 8;
    Write(header_.e_shoff + random_() % header_.e_shnum * sizeof(Elf64_Shdr) + field, Value(),
          bytes);
  }
  void DamageHeader() {
    static constexpr struct {
      size_t at;
      size_t bytes;
    } kFields[] = {{offsetof(Elf64_Ehdr, e_shoff), 8},
                   {offsetof(Elf64_Ehdr, e_shnum), 2},
                   {offsetof(Elf64_Ehdr, e_shentsize), 2},
                   {offsetof(Elf64_Ehdr, e_shstrndx), 2},
                   {offsetof(Elf64_Ehdr, e_phnum), 2}};
    const auto& field = kFields[random_() % std::size(kFields)];
    Write(field.at, Value(), field.bytes);
  }
  // Of what is loaded: which bits may be done to it, where from, how much.
  void DamageSegment() {
    static constexpr struct {
      size_t at;
      size_t bytes;
    } kFields[] = {{offsetof(Elf64_Phdr, p_flags), 4}, {offsetof(Elf64_Phdr, p_offset), 8},
                   {offsetof(Elf64_Phdr, p_vaddr), 8}, {offsetof(Elf64_Phdr, p_filesz), 8},
                   {offsetof(Elf64_Phdr, p_memsz), 8}, {offsetof(Elf64_Phdr, p_type), 4}};
    const auto& field = kFields[random_() % std::size(kFields)];
    const uint64_t value = random_() % 2 == 0 ? random_() % 8 * 0x1000 : Value();
    Write(header_.e_phoff + random_() % header_.e_phnum * sizeof(Elf64_Phdr) + field.at, value,
          field.bytes);
  }
  // Names that have no end.
  void DamageNames() {
    const Elf64_Shdr names = SectionOf(SHT_STRTAB);
    if (names.sh_offset > bytes_.size() || names.sh_size > bytes_.size() - names.sh_offset) return;
    for (uint64_t i = random_() % 2 == 0 ? 0 : names.sh_size - 1; i < names.sh_size; ++i) {
      if (bytes_[names.sh_offset + i] == '\0') Write(names.sh_offset + i, 'a', 1);
    }
  }
  // What unwinders read, which the loader does not.
  void DamageUnwindTables() {
    for (uint32_t i = 0; i < header_.e_phnum; ++i) {
      Elf64_Phdr segment = {};
      memcpy(&segment, &bytes_[header_.e_phoff + i * sizeof(segment)], sizeof(segment));
      if (segment.p_type != PT_GNU_EH_FRAME) continue;
      for (int n = 0; n < 4; ++n) {
        Write(segment.p_offset + random_() % (segment.p_filesz % 65536 + 64), Value(), 4);
      }
    }
  }
  void Damage() {
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2: return DamageSymbol(SHT_SYMTAB);
      case 3: return DamageSymbol(SHT_DYNSYM);
      case 4:
      case 5: return DamageSection();
      case 6: return DamageHeader();
      case 7: return DamageSegment();
      case 8: return DamageNames();
      default: return DamageUnwindTables();
    }
  }

  std::mt19937_64 random_;
  std::string bytes_;
  Elf64_Ehdr header_ = {};
  std::string what_;
};

class HostileLibrary : public ::testing::TestWithParam<std::string> {
 protected:
  static Result Load(const std::string& library, Preload preload) {
    Command command;
    command.preload = preload;
    command.arguments = {ProgramPath("hostile"), library};
    command.timeout_seconds = 60;
    // Each block is a sample: so stacks are read that lead through the library.
    command.environment = {
        {"TASKMEM_ADOPT", "auto"}, {"TASKMEM_TASK_BY", "none"}, {"TASKMEM_SITES_INTERVAL", "4K"}};
    return RunCommand(command);
  }
};

TEST_P(HostileLibrary, DoesNoMoreHarmThanWithoutThePreload) {
  const char* const chosen = getenv("TASKMEM_TEST_SEED");
  const char* const rounds = getenv("TASKMEM_TEST_ROUNDS");
  const uint64_t seed = chosen != nullptr ? strtoull(chosen, nullptr, 10) : 1;
  const std::string file = ProgramPath("engine_" + GetParam() + ".so");
  TemporaryFolder folder;
  int lived = 0;
  const int count = rounds != nullptr ? atoi(rounds) : 60;
  for (int i = 0; i < count; ++i) {
    const Mutant mutant(file, seed + static_cast<uint64_t>(i));
    const std::string path = folder.Write("mutant.so", mutant.bytes());
    // Where it depends on where things come to lie, nothing is known.
    const Result alone = Load(path, Preload::kOff);
    if (!alone.Succeeded() || !Load(path, Preload::kOff).Succeeded()) continue;
    ++lived;
    const Result result = Load(path, Preload::kOn);
    EXPECT_TRUE(result.Succeeded() && result.out == alone.out)
        << "TASKMEM_TEST_SEED=" << seed + static_cast<uint64_t>(i)
        << " TASKMEM_TEST_ROUNDS=1:" << mutant.what().substr(0, 500) << "\n"
        << result.Describe();
  }
  EXPECT_GE(lived, count / 4) << "most do not load at all: nothing is tried";
}

INSTANTIATE_TEST_SUITE_P(, HostileLibrary, ::testing::Values("exported", "local", "sparse"),
                         [](const auto& info) { return info.param; });

TEST(UndamagedLibrary, IsAdoptedAsBefore) {
  ExpectSuccess({"hostile", ProgramPath("engine_local.so")});
}

}  // namespace
}  // namespace taskmem::test
