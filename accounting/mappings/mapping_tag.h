// What is known of a mapped range besides its place: who holds it, what it is, and how it
// is charged. Packed into the 64 bits a RegionMap keeps for a region.
#ifndef TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_TAG_H_
#define TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_TAG_H_

#include <cstdint>

namespace taskmem {

enum class MappingClass : uint8_t {
  kAnonymous,        // private, of no file
  kSharedAnonymous,  // shared, of no file or of one without a name (memfd)
  kFilePrivate,
  kFileShared,  // and devices
  kBreak,       // what brk gave
  kSystemV,     // what shmat attached
};
inline constexpr int kMappingClasses = 6;

enum class ChargeRule : uint8_t {
  kNone,       // reserved: never writable so far
  kLength,     // every byte, from the moment it could be written
  kResidency,  // what is in memory, when it is looked at
  kShown,      // not charged to anybody: a file's, or another process's
};
inline constexpr int kChargeRules = 4;

// As PROT_READ, PROT_WRITE and PROT_EXEC.
inline constexpr uint8_t kMayRead = 1;
inline constexpr uint8_t kMayWrite = 2;

// What maps: whether it is a library that serves others, and which.
enum class Allocator : uint8_t {
  kNone,
  kJemalloc,
  kMimalloc,
  kTcmalloc,
  kPython,
  kGo,
  kJvm,
  kV8,
  kOpenBlas,  // work space of its threads, which it maps as a whole and keeps
  kRuby,      // room for short-lived objects and for stacks of fibers, which it maps as a whole
};
inline constexpr int kAllocators = 10;

// A runtime that dies of a refused mapping, and whose heap has a limit of its own.
constexpr bool IsRuntime(Allocator allocator) {
  return allocator == Allocator::kGo || allocator == Allocator::kJvm || allocator == Allocator::kV8;
}

struct MappingTag {
  static constexpr uint32_t kMaxLibraries = 1024;

  uint32_t slot = 0;     // of the task that is or would be charged
  uint32_t library = 0;  // that mapped it: an index below kMaxLibraries
  MappingClass kind = MappingClass::kAnonymous;
  ChargeRule rule = ChargeRule::kNone;
  uint8_t protection = 0;
  // Once writable, it is charged by kResidency: MAP_NORESERVE, a managed heap, an allocator's.
  bool is_sparse = false;
  bool leaves_at_fork = false;  // MADV_DONTFORK
  // Tells neighbours apart that look alike: of shmat, and of samples, whose upper five bits say how
  // many bytes one byte of them stands for (ScaleOf, accounting/audit/sample_clock.h).
  uint8_t serial = 0;
  // An allocator's or a runtime's, which serves many tasks: it is not charged to the task
  // that happens to make it writable.
  bool keeps_owner = false;
  bool grows_down = false;  // MAP_GROWSDOWN: it may begin below where it was mapped
  // The stack that mapped it (SiteStack::number, accounting/audit/site_table.h); 0: no sample.
  uint32_t site = 0;
  static constexpr uint32_t kMaxSites = 1 << 18;
  static constexpr int kScaleShift = 3;

  constexpr uint64_t Pack() const {
    return uint64_t{slot} | uint64_t{library} << 16 | static_cast<uint64_t>(kind) << 26 |
           static_cast<uint64_t>(rule) << 29 | uint64_t{protection} << 31 |
           uint64_t{is_sparse} << 34 | uint64_t{leaves_at_fork} << 35 | uint64_t{serial} << 36 |
           uint64_t{keeps_owner} << 44 | uint64_t{grows_down} << 45 | uint64_t{site} << 46;
  }
  static constexpr MappingTag Unpack(uint64_t packed) {
    MappingTag tag;
    tag.slot = packed & 0xffff;
    tag.library = packed >> 16 & (kMaxLibraries - 1);
    tag.kind = static_cast<MappingClass>(packed >> 26 & 7);
    tag.rule = static_cast<ChargeRule>(packed >> 29 & 3);
    tag.protection = packed >> 31 & 7;
    tag.is_sparse = (packed >> 34 & 1) != 0;
    tag.leaves_at_fork = (packed >> 35 & 1) != 0;
    tag.serial = packed >> 36 & 0xff;
    tag.keeps_owner = (packed >> 44 & 1) != 0;
    tag.grows_down = (packed >> 45 & 1) != 0;
    tag.site = packed >> 46 & (kMaxSites - 1);
    return tag;
  }

  // How it is charged once it can be written.
  constexpr ChargeRule RuleWhenWritable() const {
    switch (kind) {
      case MappingClass::kFileShared: return ChargeRule::kShown;
      case MappingClass::kSharedAnonymous:
      case MappingClass::kSystemV:
      // The file's pages, until they are written to.
      case MappingClass::kFilePrivate: return ChargeRule::kResidency;
      default: return is_sparse ? ChargeRule::kResidency : ChargeRule::kLength;
    }
  }

  // How it is charged from the start.
  constexpr ChargeRule RuleWhenMapped() const {
    if ((protection & kMayWrite) != 0) return RuleWhenWritable();
    const bool is_file = kind == MappingClass::kFilePrivate || kind == MappingClass::kFileShared;
    return is_file ? ChargeRule::kShown : ChargeRule::kNone;
  }

  // The same with another protection. Whoever makes it writable for the first time, `by`,
  // is charged for it; afterwards it stays whose it is.
  constexpr MappingTag WithProtection(uint8_t now, uint32_t by) const {
    MappingTag tag = *this;
    tag.protection = now;
    const bool was_never_writable =
        rule == ChargeRule::kNone ||
        (rule == ChargeRule::kShown && kind == MappingClass::kFilePrivate);
    if (was_never_writable && (now & kMayWrite) != 0) {
      if (!keeps_owner) tag.slot = by;
      tag.rule = RuleWhenWritable();
    }
    return tag;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MAPPINGS_MAPPING_TAG_H_
