#include "shim/sites/unwinder.h"

#include <dlfcn.h>
#include <sys/uio.h>

#include <atomic>

#include "accounting/audit/site_table.h"
#include "shim/base/os.h"
#include "shim/sites/frame_rules.h"

namespace taskmem {
namespace {

// What most frames need, in one word:
//   0..31   CFA - register, in bytes
//   32..47  saved bp - CFA, in bytes; 0: bp is unchanged
//   48      the register is bp, not sp
//   49      the outermost frame
//   63      set
struct SimpleRule {
  uint64_t word = 0;

  static constexpr uint64_t kFromBp = uint64_t{1} << 48;
  static constexpr uint64_t kOutermost = uint64_t{1} << 49;
  static constexpr uint64_t kSet = uint64_t{1} << 63;

  int32_t cfa_offset() const { return static_cast<int32_t>(word); }
  int16_t bp_offset() const { return static_cast<int16_t>(word >> 32); }
};

// Rules by return address. Two words that are written apart: an entry counts where both
// together give the address that is looked for, in the present generation.
struct CachedRule {
  std::atomic<uint64_t> rule;
  std::atomic<uint64_t> check;  // rule ^ address ^ what tells the generation
};
constexpr size_t kCacheSize = 4096;
CachedRule g_cache[kCacheSize];

// Changes whenever a module is unmapped: what was remembered before counts no more. The odd
// factor spreads it over all 64 bits, so that no entry is taken for another address's later.
std::atomic<uint64_t> g_generation{0};
constexpr uint64_t kGenerationFactor = 0x9e3779b97f4a7c15;

CachedRule& CacheEntry(uint64_t ip) {
  return g_cache[(ip * 0x9e3779b97f4a7c15) >> 52 & (kCacheSize - 1)];
}

bool FindCached(uint64_t ip, uint64_t generation, SimpleRule* rule) {
  const CachedRule& entry = CacheEntry(ip);
  rule->word = entry.rule.load(std::memory_order_relaxed);
  return (rule->word & SimpleRule::kSet) != 0 &&
         (rule->word ^ entry.check.load(std::memory_order_relaxed)) == (ip ^ generation);
}

void Cache(uint64_t ip, uint64_t generation, const SimpleRule& rule) {
  CachedRule& entry = CacheEntry(ip);
  entry.rule.store(rule.word, std::memory_order_relaxed);
  entry.check.store(rule.word ^ ip ^ generation, std::memory_order_relaxed);
}

bool Simplify(const FrameRules& rules, SimpleRule* simple) {
  if (rules.is_signal_frame || !rules.cfa_expression.IsEmpty()) return false;
  if (rules.cfa_register != kSpRegister && rules.cfa_register != kBpRegister) return false;
  if (rules.cfa_offset != static_cast<int32_t>(rules.cfa_offset)) return false;
  uint64_t word = SimpleRule::kSet | static_cast<uint32_t>(rules.cfa_offset);
  if (rules.cfa_register == kBpRegister) word |= SimpleRule::kFromBp;
  if (rules.ip.kind == SavedRegister::kUndefined) {
    simple->word = word | SimpleRule::kOutermost;
    return true;
  }
  if (rules.ip.kind != SavedRegister::kAt || rules.ip.offset != -8) return false;
  if (rules.bp.kind == SavedRegister::kAt) {
    if (rules.bp.offset == 0 || rules.bp.offset != static_cast<int16_t>(rules.bp.offset)) {
      return false;
    }
    word |= uint64_t{static_cast<uint16_t>(rules.bp.offset)} << 32;
  } else if (rules.bp.kind != SavedRegister::kSame) {
    return false;
  }
  simple->word = word;
  return true;
}

constexpr uint64_t kPage = 4096;

// Reads one word of each page of [start, end) through the kernel: whether all are readable.
bool IsReadable(uint64_t start, uint64_t end) {
  if (os::IsFiltered()) return false;
  constexpr uint64_t kAtOnce = 8;
  uint8_t bytes[kAtOnce];
  for (uint64_t at = start / kPage * kPage; at < end;) {
    struct iovec remote[kAtOnce];
    uint64_t count = 0;
    for (; count < kAtOnce && at < end; at += kPage) {
      remote[count++] = {reinterpret_cast<void*>(at), 1};
    }
    struct iovec local = {bytes, count};
    if (os::Call(SYS_process_vm_readv, os::ProcessId(), reinterpret_cast<long>(&local), 1,
                 reinterpret_cast<long>(remote), static_cast<long>(count),
                 0) != static_cast<long>(count)) {
      return false;
    }
  }
  return true;
}

// Copies what follows `address` into the window.
bool MoveWindow(UnwindScratch* scratch, uint64_t address) {
  if (os::IsFiltered()) return false;
  // To the end of a page, and then further: beyond, nothing may be mapped.
  constexpr uint64_t kMost = sizeof(scratch->window);
  const uint64_t in_page = kPage - address % kPage;
  const uint64_t first = in_page < kMost ? in_page : kMost;
  struct iovec local = {scratch->window, kMost};
  struct iovec remote[2] = {{reinterpret_cast<void*>(address), first},
                            {reinterpret_cast<void*>(address + first), kMost - first}};
  scratch->window_bytes = 0;
  const long got = os::Call(SYS_process_vm_readv, os::ProcessId(), reinterpret_cast<long>(&local),
                            1, reinterpret_cast<long>(remote), first < kMost ? 2 : 1, 0);
  if (got < static_cast<long>(sizeof(uint64_t))) return false;
  scratch->window_start = address;
  scratch->window_bytes = static_cast<uint64_t>(got);
  return true;
}

bool ReadStack(void* scratch_memory, uint64_t address, uint64_t* word) {
  auto* scratch = static_cast<UnwindScratch*>(scratch_memory);
  if (address >= scratch->readable_start && address < scratch->stack_top &&
      scratch->stack_top - address >= sizeof(*word)) {
    __builtin_memcpy(word, reinterpret_cast<const void*>(address), sizeof(*word));
    return true;
  }
  if (address < scratch->window_start ||
      address - scratch->window_start + sizeof(*word) > scratch->window_bytes) {
    if (!MoveWindow(scratch, address)) return false;
  }
  __builtin_memcpy(
      word, reinterpret_cast<const char*>(scratch->window) + (address - scratch->window_start),
      sizeof(*word));
  return true;
}

enum class Step : uint8_t { kMoved, kOutermost, kUnknownCode, kFailed };

bool FindSaved(const SavedRegister& saved, const ExpressionHost& host, uint64_t cfa,
               uint64_t* value) {
  uint64_t address = 0;
  switch (saved.kind) {
    case SavedRegister::kSame: return true;
    case SavedRegister::kAt: address = cfa + static_cast<uint64_t>(saved.offset); break;
    case SavedRegister::kAtComputed:
      if (!ComputeExpression(saved.expression, host, true, cfa, &address)) return false;
      break;
    case SavedRegister::kComputed:
      return ComputeExpression(saved.expression, host, true, cfa, value);
    case SavedRegister::kUndefined: *value = 0; return true;
  }
  return host.read(host.context, address, value);
}

Step MoveByRules(const FrameRules& rules, UnwindScratch* scratch, StackPlace* place) {
  if (rules.ip.kind == SavedRegister::kUndefined) return Step::kOutermost;
  const ExpressionHost host = {place->ip, place->sp, place->bp,
                               ReadStack, scratch,   &scratch->search};
  uint64_t cfa = 0;
  if (!rules.cfa_expression.IsEmpty()) {
    if (!ComputeExpression(rules.cfa_expression, host, false, 0, &cfa)) return Step::kFailed;
  } else if (rules.cfa_register == kSpRegister) {
    cfa = place->sp + static_cast<uint64_t>(rules.cfa_offset);
  } else if (rules.cfa_register == kBpRegister) {
    cfa = place->bp + static_cast<uint64_t>(rules.cfa_offset);
  } else {
    return Step::kFailed;
  }
  StackPlace next = {place->ip, cfa, place->bp};
  if (!FindSaved(rules.bp, host, cfa, &next.bp) || !FindSaved(rules.ip, host, cfa, &next.ip)) {
    return Step::kFailed;
  }
  // A signal may have been taken on another stack; elsewhere callers lie above.
  if (!rules.is_signal_frame && next.sp <= place->sp) return Step::kFailed;
  *place = next;
  return Step::kMoved;
}

Step MoveBySimpleRule(const SimpleRule& rule, UnwindScratch* scratch, StackPlace* place) {
  if ((rule.word & SimpleRule::kOutermost) != 0) return Step::kOutermost;
  const uint64_t from = (rule.word & SimpleRule::kFromBp) != 0 ? place->bp : place->sp;
  const uint64_t cfa = from + static_cast<uint64_t>(int64_t{rule.cfa_offset()});
  if (cfa <= place->sp) return Step::kFailed;
  StackPlace next = {0, cfa, place->bp};
  if (rule.bp_offset() != 0 &&
      !ReadStack(scratch, cfa + static_cast<uint64_t>(int64_t{rule.bp_offset()}), &next.bp)) {
    return Step::kFailed;
  }
  if (!ReadStack(scratch, cfa - 8, &next.ip)) return Step::kFailed;
  *place = next;
  return Step::kMoved;
}

// By what the tables say of `code`; remembers it where it is simple.
__attribute__((noinline)) Step MoveByTables(uint64_t code, uint64_t generation,
                                            UnwindScratch* scratch, StackPlace* place,
                                            bool* was_signal) {
  struct dl_find_object module;
  if (_dl_find_object(reinterpret_cast<void*>(code), &module) != 0) return Step::kUnknownCode;
  void* const header = module.dlfo_eh_frame;
  if (header == nullptr) return Step::kFailed;
  // Of a module with gaps a segment is found; the tables may be in another.
  const bool is_apart = header < module.dlfo_map_start || header >= module.dlfo_map_end;
  if (is_apart && _dl_find_object(header, &module) != 0) return Step::kFailed;
  const FrameTables tables = TablesOfModule(reinterpret_cast<uint64_t>(header),
                                            reinterpret_cast<uint64_t>(module.dlfo_map_start),
                                            reinterpret_cast<uint64_t>(module.dlfo_map_end));
  const FrameRules& rules = scratch->rules;
  if (!FindFrameRules(tables, code, &scratch->search, &scratch->rules)) return Step::kFailed;
  *was_signal = rules.is_signal_frame;
  SimpleRule simple;
  if (Simplify(rules, &simple)) {
    Cache(code, generation, simple);
    return MoveBySimpleRule(simple, scratch, place);
  }
  return MoveByRules(rules, scratch, place);
}

// From a frame to its caller's. `code` is an address in the instruction that calls.
inline Step Move(uint64_t code, uint64_t generation, UnwindScratch* scratch, StackPlace* place,
                 bool* was_signal) {
  *was_signal = false;
  SimpleRule simple;
  if (FindCached(code, generation, &simple)) return MoveBySimpleRule(simple, scratch, place);
  return MoveByTables(code, generation, scratch, place, was_signal);
}

}  // namespace

void PrepareToUnwind(uint64_t stack_top, uint64_t known_bytes, UnwindScratch* scratch) {
  constexpr uint64_t kMostChecked = 1 << 20;
  const uint64_t sp = HereOnStack().sp;
  if (os::IsFiltered()) {
    // Of other stacks this page alone can be read.
    const bool is_known = sp < stack_top && stack_top - sp <= known_bytes;
    scratch->stack_top = is_known ? stack_top : (sp / kPage + 1) * kPage;
    scratch->readable_start = sp / kPage * kPage;
    return;
  }
  if (scratch->stack_top == stack_top && sp >= scratch->readable_start && sp < stack_top) return;
  if (scratch->stack_top != stack_top) {
    scratch->stack_top = stack_top;
    scratch->readable_start = stack_top;
  }
  // Without a gap from here to the top it is the thread's own stack, whose guard lies below.
  if (sp >= stack_top || stack_top - sp > kMostChecked) return;
  if (IsReadable(sp, scratch->readable_start)) scratch->readable_start = sp / kPage * kPage;
}

void ForgetRules() { g_generation.fetch_add(kGenerationFactor, std::memory_order_release); }

uint32_t Unwind(const StackPlace& start, UnwindScratch* scratch, uint64_t* frames, uint32_t most,
                uint32_t* flags) {
  *flags = kSiteCut;
  scratch->window_bytes = 0;
  struct dl_find_object self;
  if (_dl_find_object(reinterpret_cast<void*>(&Unwind), &self) != 0) return 0;
  const auto is_own = [&self](uint64_t ip) {
    return ip >= reinterpret_cast<uint64_t>(self.dlfo_map_start) &&
           ip < reinterpret_cast<uint64_t>(self.dlfo_map_end);
  };
  // Read before any table: rules of a module that goes meanwhile are of an old generation.
  const uint64_t generation = g_generation.load(std::memory_order_acquire);
  StackPlace place = start;
  uint32_t count = 0;
  bool is_exact = true;  // the address of an instruction, not one behind a call
  constexpr int kMostSteps = 512;
  for (int steps = 0; steps < kMostSteps; ++steps) {
    if (count > 0 || !is_own(place.ip)) {
      if (count == most) return count;
      frames[count++] = place.ip;
    }
    bool was_signal = false;
    switch (Move(is_exact ? place.ip : place.ip - 1, generation, scratch, &place, &was_signal)) {
      case Step::kMoved: break;
      case Step::kOutermost: *flags = kSiteWhole; return count;
      case Step::kUnknownCode: *flags = kSiteUnknownCode; return count;
      case Step::kFailed: return count;
    }
    is_exact = was_signal;
    if (place.ip == 0) {
      *flags = kSiteWhole;
      return count;
    }
  }
  return count;
}

}  // namespace taskmem
