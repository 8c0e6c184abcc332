// Every row of the unwind tables of large libraries, as Debian's libunwind reads it through its
// public interface. The two share no code that is loaded, and the memory they read is a file's as
// the loader would map it.
#include "shim/sites/frame_rules.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <libunwind.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

// Exported for readers of other processes (perf is one), but in no header.
extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t, unw_word_t, unw_dyn_info_t*,
                                                  unw_proc_info_t*, int, void*);

namespace taskmem {
namespace {

constexpr uint64_t kPage = 4096;

// A file's segments at their distances, without anything run or relocated.
class Image {
 public:
  explicit Image(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    Elf64_Ehdr header = {};
    if (pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
        memcmp(header.e_ident, ELFMAG, SELFMAG) == 0) {
      std::vector<Elf64_Phdr> parts(header.e_phnum);
      const auto bytes = static_cast<ssize_t>(parts.size() * sizeof(Elf64_Phdr));
      if (pread(fd, parts.data(), static_cast<size_t>(bytes), static_cast<off_t>(header.e_phoff)) ==
          bytes) {
        Map(fd, parts);
      }
    }
    close(fd);
  }
  ~Image() {
    if (start_ != 0) munmap(reinterpret_cast<void*>(start_), end_ - start_);
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  uint64_t start() const { return start_; }
  uint64_t end() const { return end_; }
  uint64_t table() const { return table_; }
  const FrameTables& tables() const { return tables_; }

  bool Read(uint64_t address, void* to, size_t bytes) const {
    for (const Range& range : readable_) {
      if (address < range.start || address >= range.end) continue;
      if (range.end - address < bytes) return false;
      memcpy(to, reinterpret_cast<const void*>(address), bytes);
      return true;
    }
    return false;
  }

 private:
  struct Range {
    uint64_t start;
    uint64_t end;
  };

  void Map(int fd, const std::vector<Elf64_Phdr>& parts) {
    uint64_t low = UINT64_MAX;
    uint64_t high = 0;
    for (const Elf64_Phdr& part : parts) {
      if (part.p_type != PT_LOAD) continue;
      low = std::min(low, part.p_vaddr / kPage * kPage);
      high = std::max(high, part.p_vaddr + part.p_memsz);
    }
    if (low >= high) return;
    high = (high + kPage - 1) / kPage * kPage;
    void* const place =
        mmap(nullptr, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return;
    start_ = reinterpret_cast<uint64_t>(place);
    end_ = start_ + (high - low);
    const uint64_t base = start_ - low;
    for (const Elf64_Phdr& part : parts) {
      if (part.p_type == PT_GNU_EH_FRAME) table_ = base + part.p_vaddr;
      if (part.p_type != PT_LOAD || part.p_filesz == 0) continue;
      const uint64_t before = part.p_vaddr % kPage;
      const uint64_t at = base + part.p_vaddr - before;
      const uint64_t bytes = part.p_filesz + before;
      ASSERT_NE(mmap(reinterpret_cast<void*>(at), bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd,
                     static_cast<off_t>(part.p_offset - before)),
                MAP_FAILED);
      readable_.push_back({at, at + (bytes + kPage - 1) / kPage * kPage});
    }
    tables_ = TablesOfModule(table_, start_, end_);
  }

  uint64_t start_ = 0;
  uint64_t end_ = 0;
  uint64_t table_ = 0;
  std::vector<Range> readable_;
  FrameTables tables_;
};

// The linker's table: the addresses at which functions with rules begin.
struct Header {
  uint8_t version;
  uint8_t frame_encoding;
  uint8_t count_encoding;
  uint8_t table_encoding;
  int32_t frame;
  uint32_t count;
};
struct Entry {
  int32_t start;
  int32_t rules;
};

// What unw_reg_states_iterate hands over for a row: libunwind's dwarf_reg_state.
struct Row {
  enum Where : char { kUndefined, kSame, kCfaRelative, kRegister, kExpression, kValueExpression };
  static constexpr int kCfaRegister = 17;
  static constexpr int kCfaOffset = 18;

  uint64_t return_column;
  char where[19];
  uint64_t value[19];
};

// An address space of libunwind's that is the image, with one frame at `ip` in it, and a stack
// of which each word says where it is.
struct Frame {
  const Image* image;
  uint64_t ip;
};
constexpr uint64_t kSp = 0x7ffe00001008;
constexpr uint64_t kBp = 0x7ffe00001200;
constexpr uint64_t kStackStart = 0x7ffe00000000;
constexpr uint64_t kStackEnd = 0x7ffe00010000;

bool ReadStackWord(void*, uint64_t address, uint64_t* word) {
  if (address < kStackStart || address >= kStackEnd) return false;
  constexpr uint64_t kQuarter = (kStackEnd - kStackStart) / 4;
  *word = kStackStart + kQuarter + address * 5 % kQuarter / 8 * 8;
  return true;
}

int FindInfo(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info, int need, void* frame) {
  const Image& image = *static_cast<Frame*>(frame)->image;
  Header header;
  if (!image.Read(image.table(), &header, sizeof(header))) return -UNW_ENOINFO;
  unw_dyn_info_t table = {};
  table.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  table.start_ip = image.start();
  table.end_ip = image.end();
  table.u.rti.segbase = image.table();
  table.u.rti.table_data = image.table() + sizeof(Header);
  table.u.rti.table_len = header.count * sizeof(Entry) / sizeof(unw_word_t);
  return _Ux86_64_dwarf_search_unwind_table(space, ip, &table, info, need, frame);
}
void PutInfo(unw_addr_space_t, unw_proc_info_t*, void*) {}
int NoList(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }
int ReadWord(unw_addr_space_t, unw_word_t address, unw_word_t* word, int write, void* frame) {
  const Image& image = *static_cast<Frame*>(frame)->image;
  const bool is_read = write == 0 && (ReadStackWord(nullptr, address, word) ||
                                      image.Read(address, word, sizeof(*word)));
  return is_read ? 0 : -UNW_EINVAL;
}
int ReadRegister(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write, void* frame) {
  if (write != 0) return -UNW_EREADONLYREG;
  switch (number) {
    case UNW_REG_IP: *value = static_cast<Frame*>(frame)->ip; break;
    case UNW_REG_SP: *value = kSp; break;
    case UNW_X86_64_RBP: *value = kBp; break;
    default: *value = 0;
  }
  return 0;
}
int NoFloat(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }
int NoResume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }
int NoName(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

// The length of the expression at `address`, and where it begins behind that.
struct Block {
  uint64_t start = 0;
  uint64_t bytes = 0;
};
Block BlockAt(const Image& image, uint64_t address) {
  Block block;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = 0;
    if (!image.Read(address++, &byte, 1)) return {};
    block.bytes |= uint64_t{byte & 0x7fu} << shift;
    if ((byte & 0x80) == 0) break;
  }
  block.start = address;
  return block;
}

bool IsBlock(const Image& image, FrameBytes bytes, uint64_t address) {
  const Block block = BlockAt(image, address);
  return reinterpret_cast<uint64_t>(bytes.at) == block.start &&
         static_cast<uint64_t>(bytes.end - bytes.at) == block.bytes;
}

bool AreSame(const Image& image, const SavedRegister& ours, const Row& row, int column) {
  switch (static_cast<Row::Where>(row.where[column])) {
    case Row::kUndefined: return ours.kind == SavedRegister::kUndefined;
    case Row::kSame: return ours.kind == SavedRegister::kSame;
    case Row::kCfaRelative:
      return ours.kind == SavedRegister::kAt &&
             ours.offset == static_cast<int64_t>(row.value[column]);
    // Not followed: a stack trace knows two registers.
    case Row::kRegister: return ours.kind == SavedRegister::kUndefined;
    case Row::kExpression:
      return ours.kind == SavedRegister::kAtComputed &&
             IsBlock(image, ours.expression, row.value[column]);
    case Row::kValueExpression:
      return ours.kind == SavedRegister::kComputed &&
             IsBlock(image, ours.expression, row.value[column]);
  }
  return false;
}

bool AreSame(const Image& image, const FrameRules& ours, const Row& row) {
  constexpr int kCfa = Row::kCfaRegister;
  if (row.where[kCfa] == Row::kRegister) {
    if (!ours.cfa_expression.IsEmpty() || ours.cfa_register != row.value[kCfa] ||
        ours.cfa_offset != static_cast<int64_t>(row.value[Row::kCfaOffset])) {
      return false;
    }
  } else if (row.where[kCfa] != Row::kExpression ||
             !IsBlock(image, ours.cfa_expression, row.value[kCfa])) {
    return false;
  }
  return row.return_column == kIpRegister && AreSame(image, ours.bp, row, kBpRegister) &&
         AreSame(image, ours.ip, row, kIpRegister);
}

struct Counts {
  uint64_t functions = 0;
  uint64_t rows = 0;
  uint64_t with_expressions = 0;
  uint64_t signal_frames = 0;
  uint64_t not_followed = 0;
  uint64_t different = 0;
  uint64_t first_different = 0;
};

bool FindSaved(const SavedRegister& saved, const ExpressionHost& host, uint64_t cfa,
               uint64_t* value) {
  uint64_t address = cfa + static_cast<uint64_t>(saved.offset);
  switch (saved.kind) {
    case SavedRegister::kSame: return true;
    case SavedRegister::kUndefined: *value = 0; return true;
    case SavedRegister::kComputed:
      return ComputeExpression(saved.expression, host, true, cfa, value);
    case SavedRegister::kAtComputed:
      if (!ComputeExpression(saved.expression, host, true, cfa, &address)) return false;
      break;
    case SavedRegister::kAt: break;
  }
  return ReadStackWord(nullptr, address, value);
}

// Registers that hold other values at every call are known to libunwind alone: prologues that
// align the stack by r10, and three functions of OpenSSL's. A stack trace meets them where a
// signal interrupted these instructions, and ends there.
bool NamesOtherRegister(const FrameRules& rules) {
  if (rules.cfa_expression.IsEmpty()) {
    return rules.cfa_register != kBpRegister && rules.cfa_register != kSpRegister;
  }
  constexpr uint8_t kFirst = 0x70;  // DW_OP_breg0
  constexpr uint8_t kLast = kFirst + kIpRegister;
  return std::any_of(rules.cfa_expression.at, rules.cfa_expression.end, [](uint8_t code) {
    return code >= kFirst && code < kLast && code != kFirst + kBpRegister &&
           code != kFirst + kSpRegister;
  });
}

// Whether a step by the rules leads where libunwind's step leads.
bool StepsAgree(const Image& image, unw_addr_space_t space, uint64_t ip, const FrameRules& rules) {
  static TaskmemFrameScratch scratch;
  const ExpressionHost host = {ip, kSp, kBp, ReadStackWord, nullptr, &scratch};
  uint64_t cfa =
      (rules.cfa_register == kBpRegister ? kBp : kSp) + static_cast<uint64_t>(rules.cfa_offset);
  if (!rules.cfa_expression.IsEmpty() &&
      !ComputeExpression(rules.cfa_expression, host, false, 0, &cfa)) {
    return false;
  }
  uint64_t next_ip = ip;
  uint64_t next_bp = kBp;
  if (!FindSaved(rules.bp, host, cfa, &next_bp) || !FindSaved(rules.ip, host, cfa, &next_ip)) {
    return false;
  }
  Frame frame = {&image, ip};
  unw_cursor_t cursor;
  if (unw_init_remote(&cursor, space, &frame) < 0 || unw_step(&cursor) < 0) return false;
  unw_word_t found[3] = {};
  unw_get_reg(&cursor, UNW_REG_IP, &found[0]);
  unw_get_reg(&cursor, UNW_REG_SP, &found[1]);
  if (found[0] == 0 && next_ip == 0) return true;
  return unw_get_reg(&cursor, UNW_X86_64_RBP, &found[2]) >= 0 && found[0] == next_ip &&
         found[1] == cfa && found[2] == next_bp;
}

struct Comparison {
  const Image* image;
  unw_addr_space_t space;
  Counts* counts;
};

int CompareRow(void* argument, void* state, size_t bytes, unw_word_t start, unw_word_t end) {
  const auto& [image, space, counts] = *static_cast<Comparison*>(argument);
  Row row;
  if (bytes != sizeof(row)) return -UNW_EBADVERSION;
  memcpy(&row, state, sizeof(row));
  ++counts->rows;
  const auto is_computed = [&row](int column) {
    return row.where[column] == Row::kExpression || row.where[column] == Row::kValueExpression;
  };
  const bool steps = is_computed(Row::kCfaRegister) || is_computed(kBpRegister);
  if (steps) ++counts->with_expressions;
  static TaskmemFrameScratch scratch;
  for (const uint64_t ip : {start, end - 1}) {
    FrameRules ours;
    if (FindFrameRules(image->tables(), ip, &scratch, &ours) && AreSame(*image, ours, row)) {
      if (steps && NamesOtherRegister(ours)) {
        ++counts->not_followed;
        continue;
      }
      if (!steps || StepsAgree(*image, space, ip, ours)) continue;
    }
    if (counts->different++ == 0) counts->first_different = ip - image->start();
  }
  return 0;
}

Counts CompareAll(const Image& image) {
  Counts counts;
  Header header = {};
  EXPECT_TRUE(image.Read(image.table(), &header, sizeof(header)));
  EXPECT_EQ(header.table_encoding, 0x3b);
  unw_accessors_t access = {FindInfo,     PutInfo, NoList,   ReadWord,
                            ReadRegister, NoFloat, NoResume, NoName};
  const unw_addr_space_t space = unw_create_addr_space(&access, 0);
  Comparison comparison = {&image, space, &counts};
  for (uint32_t i = 0; i < header.count; ++i) {
    Entry entry;
    EXPECT_TRUE(
        image.Read(image.table() + sizeof(Header) + i * sizeof(Entry), &entry, sizeof(entry)));
    Frame frame = {&image, image.table() + static_cast<uint64_t>(int64_t{entry.start})};
    unw_cursor_t cursor;
    ++counts.functions;
    int result = unw_init_remote(&cursor, space, &frame);
    if (result >= 0) result = unw_reg_states_iterate(&cursor, CompareRow, &comparison);
    static TaskmemFrameScratch scratch;
    FrameRules rules;
    if (!FindFrameRules(image.tables(), frame.ip, &scratch, &rules) ||
        rules.is_signal_frame != (unw_is_signal_frame(&cursor) > 0)) {
      result = -UNW_EBADFRAME;
    }
    if (rules.is_signal_frame) ++counts.signal_frames;
    if (result < 0 && counts.different++ == 0) {
      counts.first_different = frame.ip - image.start();
    }
  }
  unw_destroy_addr_space(space);
  return counts;
}

// The first that exists; a pattern's folder is looked through.
std::string FindFile(const std::vector<std::string>& paths) {
  namespace fs = std::filesystem;
  for (const std::string& path : paths) {
    if (fs::exists(path)) return path;
  }
  return "";
}

std::string FindJvm() {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const auto& jdk : fs::directory_iterator("/usr/lib/jvm", error)) {
    const fs::path path = jdk.path() / "lib/server/libjvm.so";
    if (!jdk.is_symlink() && fs::exists(path)) return path;
  }
  return "";
}

class FrameRulesTest : public ::testing::Test {
 protected:
  void Compare(const std::string& path, uint64_t least_rows) {
    if (path.empty()) GTEST_SKIP() << "it is not installed";
    const Image image(path);
    ASSERT_NE(image.table(), 0u) << path;
    const Counts counts = CompareAll(image);
    RecordProperty("functions", std::to_string(counts.functions));
    RecordProperty("rows", std::to_string(counts.rows));
    RecordProperty("with_expressions", std::to_string(counts.with_expressions));
    EXPECT_GE(counts.rows, least_rows);
    EXPECT_EQ(counts.different, 0u)
        << path << ": the first at " << std::hex << counts.first_different;
    printf(
        "%s: %lu functions, %lu rows, %lu with expressions, %lu of signals, %lu not followed, %lu "
        "differ\n",
        path.c_str(), counts.functions, counts.rows, counts.with_expressions, counts.signal_frames,
        counts.not_followed, counts.different);
  }

  static std::string Library(const char* name) {
    return std::string("/usr/lib/x86_64-linux-gnu/") + name;
  }
};

TEST_F(FrameRulesTest, AreLibunwindsInLibc) { Compare(Library("libc.so.6"), 20'000); }
TEST_F(FrameRulesTest, AreLibunwindsInTheCxxRuntime) { Compare(Library("libstdc++.so.6"), 20'000); }
TEST_F(FrameRulesTest, AreLibunwindsInTheLoader) {
  Compare(Library("ld-linux-x86-64.so.2"), 1'000);
}
TEST_F(FrameRulesTest, AreLibunwindsInTheJvm) { Compare(FindJvm(), 100'000); }
TEST_F(FrameRulesTest, AreLibunwindsInPython) {
  Compare(FindFile({"/usr/bin/python3", "/usr/bin/python3.11"}), 10'000);
}
TEST_F(FrameRulesTest, AreLibunwindsInNode) {
  Compare(FindFile({"/usr/bin/node", "/usr/bin/nodejs", Library("libnode.so.108")}), 10'000);
}
// As the unwinder asks for them: of the modules as they are loaded. Some name their handler of
// exceptions by a pointer in the module's data.
TEST(LoadedFrameRules, AreFoundForEveryFunction) {
  for (const void* function : {reinterpret_cast<void*>(&FindInfo), reinterpret_cast<void*>(&qsort),
                               dlsym(RTLD_DEFAULT, "_ZSt9terminatev")}) {
    dl_find_object module;
    ASSERT_EQ(_dl_find_object(const_cast<void*>(function), &module), 0);
    const FrameTables tables = TablesOfModule(reinterpret_cast<uint64_t>(module.dlfo_eh_frame),
                                              reinterpret_cast<uint64_t>(module.dlfo_map_start),
                                              reinterpret_cast<uint64_t>(module.dlfo_map_end));
    const auto* const table = static_cast<const char*>(module.dlfo_eh_frame);
    Header header;
    memcpy(&header, table, sizeof(header));
    ASSERT_GT(header.count, 0u);
    for (uint32_t i = 0; i < header.count; ++i) {
      Entry entry;
      memcpy(&entry, table + sizeof(header) + i * sizeof(entry), sizeof(entry));
      static TaskmemFrameScratch scratch;
      FrameRules rules;
      ASSERT_TRUE(
          FindFrameRules(tables, reinterpret_cast<uint64_t>(table + entry.start), &scratch, &rules))
          << module.dlfo_link_map->l_name << " " << i;
    }
  }
}

// A module may begin with what cannot be read.
TEST(HiddenFrameRules, AreLookedForFromTheTablesOn) {
  constexpr uint64_t kBytes = 3 * kPage;
  void* const place = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(place, MAP_FAILED);
  const auto start = reinterpret_cast<uint64_t>(place);
  const uint64_t header = start + kPage + 64;
  g_hides_modules.store(true);
  const FrameTables tables = TablesOfModule(header, start, start + kBytes);
  EXPECT_EQ(tables.header, header);
  EXPECT_EQ(tables.readable_start, start + kPage);
  EXPECT_EQ(tables.readable_end, start + kBytes);
  munmap(place, kBytes);
}

TEST(HiddenFrameRules, AreOfModulesWhoseBeginningIsHidden) {
  dl_find_object found;
  ASSERT_EQ(_dl_find_object(dlsym(RTLD_DEFAULT, "qsort"), &found), 0);
  const auto begins = reinterpret_cast<uint64_t>(found.dlfo_map_start);
  const auto hides = [](uint64_t start, uint64_t end) {
    g_hides_modules.store(false);
    NoteUnreadable(start, end);
    return g_hides_modules.exchange(false);
  };
  EXPECT_TRUE(hides(begins, begins + kPage));
  EXPECT_TRUE(hides(begins - kPage, begins + kPage));
  EXPECT_TRUE(hides(begins, begins + (uint64_t{1} << 40)));
  EXPECT_FALSE(hides(begins + kPage, begins + 2 * kPage));
  int local = 0;
  const auto stack = reinterpret_cast<uint64_t>(&local) / kPage * kPage;
  EXPECT_FALSE(hides(stack, stack + kPage));
}

// What allocates is often called from here, and generated code calls it.
TEST_F(FrameRulesTest, AreLibunwindsInLibgcc) { Compare(Library("libgcc_s.so.1"), 500); }

}  // namespace
}  // namespace taskmem
