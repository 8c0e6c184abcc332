#include "accounting/audit/ledger.h"

namespace taskmem {
namespace {

struct Names {
  const char* key;
  const char* name;
};

constexpr Names kNames[] = {
    {"task_pages", "task pages"},
    {"untracked_pages", "untracked pages"},
    {"allocator_slack", "allocator slack"},
    {"task_mappings", "task mappings"},
    {"untracked_mappings", "untracked mappings"},
    {"thread_stacks", "thread stacks"},
    {"images", "images"},
    {"file_mappings", "file mappings"},
    {"managed_heap", "managed heap"},
    {"own", "taskmem's own"},
    {"unknown", "UNKNOWN"},
};
static_assert(sizeof(kNames) / sizeof(kNames[0]) == kLedgerClasses);

}  // namespace

const char* LedgerClassKey(LedgerClass ledger_class) {
  return kNames[static_cast<size_t>(ledger_class)].key;
}

const char* LedgerClassName(LedgerClass ledger_class) {
  return kNames[static_cast<size_t>(ledger_class)].name;
}

uint64_t FitShares(uint64_t resident_bytes, LedgerShare* shares, size_t count) {
  // Address spaces are 2^47 bytes and shares few: no sum here overflows 128 bits.
  unsigned __int128 wanted = 0;
  for (size_t i = 0; i < count; ++i) wanted += shares[i].bytes;
  if (wanted <= resident_bytes) return resident_bytes - static_cast<uint64_t>(wanted);
  // Rounded on the running sum, so that the parts add up to the whole.
  unsigned __int128 before = 0;
  uint64_t given = 0;
  for (size_t i = 0; i < count; ++i) {
    before += shares[i].bytes;
    const auto until = static_cast<uint64_t>(before * resident_bytes / wanted);
    shares[i].bytes = until - given;
    given = until;
  }
  return 0;
}

}  // namespace taskmem
