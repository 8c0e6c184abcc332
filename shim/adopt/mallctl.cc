#include "shim/adopt/mallctl.h"

#include <errno.h>

#include <atomic>
#include <cstring>

#include "shim/adopt/adopted_bytes.h"

namespace taskmem::adopt {
namespace {

constexpr size_t kPageBytes = 4096;

enum class Key : uint8_t {
  kNothing,  // of any length: zeroes
  kEpoch,
  kVersion,
  kAllocated,
  kInPages,
  kZeroBytes,
  kTaken,
  kTakenAt,
  kGiven,
  kGivenAt,
  kArenas,
  kPage,
  kQuantum,
  kTrue,
  kFalse,
};

struct KnownName {
  const char* name;  // ends with a dot: whatever begins so
  Key key;
};

// The first that fits counts.
constexpr KnownName kNames[] = {
    {"epoch", Key::kEpoch},
    {"version", Key::kVersion},
    {"stats.allocated", Key::kAllocated},
    {"stats.active", Key::kInPages},
    {"stats.resident", Key::kInPages},
    {"stats.mapped", Key::kInPages},
    {"stats.metadata", Key::kZeroBytes},
    {"stats.metadata_thp", Key::kZeroBytes},
    {"stats.retained", Key::kZeroBytes},
    {"stats.zero_reallocs", Key::kZeroBytes},
    {"approximate_stats.active", Key::kInPages},
    {"thread.allocated", Key::kTaken},
    {"thread.allocatedp", Key::kTakenAt},
    {"thread.deallocated", Key::kGiven},
    {"thread.deallocatedp", Key::kGivenAt},
    {"arenas.narenas", Key::kArenas},
    {"arenas.page", Key::kPage},
    {"arenas.quantum", Key::kQuantum},
    {"config.stats", Key::kTrue},
    {"background_thread", Key::kFalse},
    {"max_background_threads", Key::kZeroBytes},
    {"arena.", Key::kNothing},
    {"arenas.", Key::kNothing},
    {"config.", Key::kNothing},
    {"experimental.", Key::kNothing},
    {"opt.", Key::kNothing},
    {"prof.", Key::kNothing},
    {"stats.", Key::kNothing},
    {"tcache.", Key::kNothing},
    {"thread.", Key::kNothing},
};
constexpr size_t kNameCount = sizeof(kNames) / sizeof(kNames[0]);

size_t IndexOf(const char* name) {
  for (size_t i = 0; i < kNameCount; ++i) {
    const size_t length = strlen(kNames[i].name);
    const bool is_head = kNames[i].name[length - 1] == '.';
    if (is_head ? strncmp(name, kNames[i].name, length) == 0 && name[length] != '\0'
                : strcmp(name, kNames[i].name) == 0) {
      return i;
    }
  }
  return kNameCount;
}

// Copies what there is room for; EINVAL where the caller expects another length.
template <typename T>
int Read(const ControlValues& values, T value) {
  if (values.old_value == nullptr || values.old_bytes == nullptr) return 0;
  const size_t bytes = *values.old_bytes < sizeof(T) ? *values.old_bytes : sizeof(T);
  memcpy(values.old_value, &value, bytes);
  if (*values.old_bytes == sizeof(T)) return 0;
  *values.old_bytes = bytes;
  return EINVAL;
}

int ReadZeroes(const ControlValues& values) {
  if (values.old_value != nullptr && values.old_bytes != nullptr) {
    memset(values.old_value, 0, *values.old_bytes);
  }
  return 0;
}

int Control(uint32_t adopter, Key key, const ControlValues& values) {
  static std::atomic<uint64_t> epoch{1};
  const size_t live = LiveBytesOf(adopter);
  AdoptedBytes* const own = OwnAdoptedBytes();
  switch (key) {
    case Key::kNothing: return ReadZeroes(values);
    case Key::kEpoch:
      return Read(values, values.new_value != nullptr ? epoch.fetch_add(1) + 1 : epoch.load());
    case Key::kVersion: return Read(values, "5.3.0-0-taskmem");
    case Key::kAllocated: return Read(values, live);
    case Key::kInPages: return Read(values, (live + kPageBytes - 1) / kPageBytes * kPageBytes);
    case Key::kZeroBytes: return Read(values, size_t{0});
    case Key::kTaken: return Read(values, own != nullptr ? own->taken : 0);
    case Key::kTakenAt: return Read(values, own != nullptr ? &own->taken : nullptr);
    case Key::kGiven: return Read(values, own != nullptr ? own->given : 0);
    case Key::kGivenAt: return Read(values, own != nullptr ? &own->given : nullptr);
    case Key::kArenas: return Read(values, 1U);
    case Key::kPage: return Read(values, kPageBytes);
    case Key::kQuantum: return Read(values, size_t{16});
    case Key::kTrue: return Read(values, true);
    case Key::kFalse: return Read(values, false);
  }
  return ENOENT;
}

}  // namespace

int ControlByName(uint32_t adopter, const char* name, const ControlValues& values) {
  const size_t index = name != nullptr ? IndexOf(name) : kNameCount;
  return index == kNameCount ? ENOENT : Control(adopter, kNames[index].key, values);
}

// The first number says which name it is; callers may change the others.
int ControlByMib(uint32_t adopter, const size_t* mib, size_t length, const ControlValues& values) {
  if (mib == nullptr || length == 0 || mib[0] >= kNameCount) return ENOENT;
  return Control(adopter, kNames[mib[0]].key, values);
}

int NameToMib(const char* name, size_t* mib, size_t* length) {
  const size_t index = name != nullptr ? IndexOf(name) : kNameCount;
  if (index == kNameCount || mib == nullptr || length == nullptr) return ENOENT;
  size_t parts = 1;
  for (const char* at = name; *at != '\0'; ++at) {
    if (*at == '.') ++parts;
  }
  if (parts < *length) *length = parts;
  for (size_t i = 0; i < *length; ++i) mib[i] = i == 0 ? index : 0;
  return 0;
}

}  // namespace taskmem::adopt
