#include "tools/remote/unloaded_modules.h"

#include <algorithm>
#include <cstring>

#include "accounting/audit/unloaded_code.h"
#include "accounting/base/round_up.h"

namespace taskmem {
namespace {

constexpr uint64_t kMostModuleBytes = uint64_t{1} << 32;

// UnloadedHead without atomics, to be copied into.
struct Head {
  uint32_t count;
  uint32_t reserved;
  uint64_t chunks[kUnloadedChunks];
};
static_assert(sizeof(Head) == sizeof(UnloadedHead));

}  // namespace

const Module* UnloadedModules::Find(uint32_t number) {
  const auto [found, is_new] = known_.try_emplace(number);
  Module& module = found->second;
  if (!is_new) return &module;
  module.is_unloaded = true;
  const auto head = head_ != 0 && number != 0 ? memory_.Read<Head>(head_) : std::nullopt;
  std::optional<UnloadedLibrary> library;
  if (head && number <= head->count && number <= kMostUnloaded) {
    const uint64_t chunk = head->chunks[(number - 1) / kUnloadedInChunk];
    library = memory_.Read<UnloadedLibrary>(chunk + (number - 1) % kUnloadedInChunk *
                                                        sizeof(UnloadedLibrary));
  }
  // Where it was is its place in the file, too: where that is not known it begins at 0.
  uint64_t bytes = RemoteMemory::kAddressEnd;
  if (library && library->start < library->end && library->end <= RemoteMemory::kAddressEnd &&
      library->end - library->start <= kMostModuleBytes) {
    module.loaded_at = library->start;
    bytes = RoundUp(library->end - library->start, kPageBytes);
    module.fingerprint = library->fingerprint;
    module.path.assign(library->path, strnlen(library->path, sizeof(library->path)));
  }
  if (module.path.empty()) module.path = "unloaded library";
  module.start = next_start_;
  module.end = module.start + bytes;
  next_start_ = module.end + kMostModuleBytes;
  return &module;
}

uint64_t UnloadedModules::AddressOf(uint64_t frame) {
  if (!IsUnloadedFrame(frame)) return frame;
  const Module& module = *Find(UnloadedNumber(frame));
  const uint64_t offset = UnloadedAddress(frame) - module.loaded_at;
  return module.start + std::min(offset, module.end - module.start);
}

std::vector<Module> UnloadedModules::modules() const {
  std::vector<Module> modules;
  for (const auto& [number, module] : known_) modules.push_back(module);
  std::sort(modules.begin(), modules.end(),
            [](const Module& a, const Module& b) { return a.start < b.start; });
  return modules;
}

}  // namespace taskmem
