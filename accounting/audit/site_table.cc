#include "accounting/audit/site_table.h"

namespace taskmem {
namespace {

constexpr uint64_t kFree = 1;
constexpr uint64_t kFilling = 2;

uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93;
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93;
  return value ^ (value >> 32);
}

uint64_t HashOf(const uint64_t* frames, uint32_t depth, uint32_t flags) {
  uint64_t hash = depth * uint64_t{4} + flags;
  for (uint32_t i = 0; i < depth; ++i) hash = Mix(hash ^ frames[i]) + i;
  return hash;
}

uint64_t LoadFrame(const SiteStack& stack, uint32_t i) {
  return __atomic_load_n(&stack.frames[i], __ATOMIC_RELAXED);
}

}  // namespace

bool SiteTable::Open(uint64_t interval_bytes) {
  auto* index = static_cast<std::atomic<SiteStack*>*>(
      source_.allocate(kSiteIndexSize * sizeof(std::atomic<SiteStack*>), source_.context));
  if (index == nullptr) return false;
  head_.interval_bytes.store(interval_bytes, std::memory_order_relaxed);
  index_.store(index, std::memory_order_release);
  head_.index.store(reinterpret_cast<uint64_t>(index), std::memory_order_release);
  return true;
}

bool SiteTable::IsStack(SiteStack* stack, uint64_t hash, const uint64_t* frames, uint32_t depth,
                        uint32_t flags) const {
  if (stack->hash != hash || stack->depth != depth || stack->flags != flags) return false;
  bool has_unloaded = false;
  for (uint32_t i = 0; i < depth; ++i) {
    const uint64_t frame = LoadFrame(*stack, i);
    if (frame == frames[i]) continue;
    if (!IsUnloadedFrame(frame) || UnloadedAddress(frame) != frames[i]) return false;
    has_unloaded = true;
  }
  return !has_unloaded || TakeBack(stack, frames);
}

// A library that comes and goes at the same place does not make new stacks each time.
__attribute__((noinline)) bool SiteTable::TakeBack(SiteStack* stack, const uint64_t* frames) const {
  if (is_loaded_again_ == nullptr) return false;
  for (uint32_t i = 0; i < stack->depth; ++i) {
    const uint64_t frame = LoadFrame(*stack, i);
    if (frame != frames[i] && !is_loaded_again_(frame)) return false;
  }
  for (uint32_t i = 0; i < stack->depth; ++i) {
    __atomic_store_n(&stack->frames[i], frames[i], __ATOMIC_RELAXED);
  }
  return true;
}

void SiteTable::NoteUnloaded(const Unloaded& unloaded) {
  bool is_certain = false;
  bool has_number = false;
  uint32_t number = 0;
  SiteStack* stack = newest_.load(std::memory_order_acquire);
  for (; stack != nullptr; stack = stack->older) {
    is_certain = is_certain || stack == unloaded.certain;
    for (uint32_t i = 0; i < stack->depth; ++i) {
      const uint64_t frame = LoadFrame(*stack, i);
      // It is the call that was in the library.
      if (frame <= unloaded.start || frame > unloaded.end) continue;
      const bool is_known = is_certain || !unloaded.is_reused;
      if (is_known && !has_number) {
        number = unloaded.number(unloaded.context);
        has_number = true;
      }
      __atomic_store_n(&stack->frames[i], UnloadedFrame(is_known ? number : 0, frame),
                       __ATOMIC_RELAXED);
    }
  }
}

const SiteStack* SiteTable::Intern(const uint64_t* frames, uint32_t depth, uint32_t flags) {
  std::atomic<SiteStack*>* const index = index_.load(std::memory_order_acquire);
  if (index == nullptr) return nullptr;
  if (depth > kMaxFrames) {
    depth = kMaxFrames;
    flags |= kSiteCut;
  }
  // New stacks then share an entry without frames; known ones are still found.
  const bool is_full = head_.stacks.load(std::memory_order_relaxed) >= kMaxStacks;
  const uint64_t hash = HashOf(frames, depth, flags);
  SiteStack* made = nullptr;
  for (uint64_t at = hash;; ++at) {
    std::atomic<SiteStack*>& place = index[at & (kSiteIndexSize - 1)];
    SiteStack* stack = place.load(std::memory_order_acquire);
    if (stack == nullptr) {
      if (is_full && depth > 0) return Intern(frames, 0, kSiteCut);
      if (made == nullptr) {
        made = static_cast<SiteStack*>(
            source_.allocate(sizeof(SiteStack) + depth * sizeof(uint64_t), source_.context));
        if (made == nullptr) return nullptr;
        made->hash = hash;
        made->depth = depth;
        made->flags = flags;
        for (uint32_t i = 0; i < depth; ++i) made->frames[i] = frames[i];
      }
      made->number = static_cast<uint32_t>(at & (kSiteIndexSize - 1)) + 1;
      if (place.compare_exchange_strong(stack, made, std::memory_order_acq_rel)) {
        head_.stacks.fetch_add(1, std::memory_order_relaxed);
        SiteStack* newest = newest_.load(std::memory_order_relaxed);
        do {
          made->older = newest;
        } while (!newest_.compare_exchange_weak(newest, made, std::memory_order_acq_rel));
        return made;
      }
    }
    // Another thread may have put the same stack here; what was made then stays unused.
    if (IsStack(stack, hash, frames, depth, flags)) return stack;
  }
}

SiteSample* SiteTable::Level(uint32_t level, bool make) {
  const uint64_t address = head_.levels[level].load(std::memory_order_acquire);
  if (address != 0 || !make) return reinterpret_cast<SiteSample*>(address);
  void* const made = source_.allocate(SampleLevelSize(level) * sizeof(SiteSample), source_.context);
  uint64_t found = 0;
  if (made != nullptr && head_.levels[level].compare_exchange_strong(
                             found, reinterpret_cast<uint64_t>(made), std::memory_order_acq_rel)) {
    return static_cast<SiteSample*>(made);
  }
  // Two threads met here, once in the life of a level: one's memory stays unused.
  return reinterpret_cast<SiteSample*>(found);
}

bool SiteTable::Remember(uint64_t block, const SiteStack* stack, uint64_t bytes, uint64_t weight) {
  const uint64_t hash = Mix(block);
  for (uint32_t level = 0; level < kSampleLevels && stack != nullptr; ++level) {
    SiteSample* const samples = Level(level, /*make=*/true);
    if (samples == nullptr) break;
    for (uint32_t i = 0; i < kProbes; ++i) {
      SiteSample& sample = samples[(hash + i) & (SampleLevelSize(level) - 1)];
      uint64_t old = sample.block.load(std::memory_order_relaxed);
      if (old > kFree || !sample.block.compare_exchange_strong(old, kFilling)) continue;
      sample.stack.store(reinterpret_cast<uint64_t>(stack), std::memory_order_relaxed);
      sample.bytes.store(bytes, std::memory_order_relaxed);
      sample.weight.store(weight, std::memory_order_relaxed);
      sample.block.store(block, std::memory_order_release);
      return true;
    }
  }
  head_.lost_samples.fetch_add(1, std::memory_order_relaxed);
  head_.lost_bytes.fetch_add(weight, std::memory_order_relaxed);
  return false;
}

SiteSample* SiteTable::Find(uint64_t block) {
  const uint64_t hash = Mix(block);
  for (uint32_t level = 0; level < kSampleLevels; ++level) {
    SiteSample* const samples = Level(level, /*make=*/false);
    if (samples == nullptr) return nullptr;
    for (uint32_t i = 0; i < kProbes; ++i) {
      SiteSample& sample = samples[(hash + i) & (SampleLevelSize(level) - 1)];
      const uint64_t found = sample.block.load(std::memory_order_relaxed);
      if (found == block) return &sample;
      // Never used, so no sample was ever put behind it or on a later level.
      if (found == 0) return nullptr;
    }
  }
  return nullptr;
}

bool SiteTable::Forget(uint64_t block) {
  SiteSample* const sample = Find(block);
  if (sample == nullptr) return false;
  sample->block.store(kFree, std::memory_order_release);
  return true;
}

SiteTable::Sample SiteTable::Remove(uint64_t block) {
  SiteSample* const sample = Find(block);
  if (sample == nullptr) return {};
  const Sample removed = {
      reinterpret_cast<const SiteStack*>(sample->stack.load(std::memory_order_relaxed)),
      sample->bytes.load(std::memory_order_relaxed),
      sample->weight.load(std::memory_order_relaxed)};
  sample->block.store(kFree, std::memory_order_release);
  return removed;
}

void SiteTable::Resize(uint64_t block, uint64_t bytes) {
  SiteSample* const sample = Find(block);
  if (sample == nullptr) return;
  const double times = static_cast<double>(sample->weight.load(std::memory_order_relaxed)) /
                       static_cast<double>(sample->bytes.load(std::memory_order_relaxed));
  sample->bytes.store(bytes, std::memory_order_relaxed);
  sample->weight.store(static_cast<uint64_t>(times * static_cast<double>(bytes) + 0.5),
                       std::memory_order_relaxed);
}

}  // namespace taskmem
