// Many threads put, get, release and remove blocks and values at random, for tasks that come
// and go, with little memory. Contents are what was put, every value is destroyed once, and
// in the end nothing is held. Arguments: the seed, "disk" or "memory".
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/blocks.h"

namespace {

constexpr int kThreads = 12;
constexpr int kSteps = 1500;
constexpr int kNames = 40;

std::atomic<int64_t> g_values{0};  // that exist
bool g_has_disk = false;

uint64_t SizeOf(const std::string& name) { return 1000 + SeedOf(name) % (kMiB * 3 / 2); }

struct Value {
  char name[32];
  char* data;
};

void Destroy(void*, void* value, uint64_t bytes) {
  auto* const self = static_cast<Value*>(value);
  REQUIRE(HasPattern(self->data, bytes, SeedOf(self->name)));
  free(self->data);
  self->data = nullptr;
  free(self);
  g_values.fetch_sub(1);
}

int Serialize(void*, const void* value, taskmem_block_write write, void* sink) {
  const auto* const self = static_cast<const Value*>(value);
  return write(sink, self->data, SizeOf(self->name));
}

int PutValue(const std::string& name, bool can_serialize) {
  uint64_t before = 0;
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_STORAGE, &before), ==, 0);
  auto* const value = static_cast<Value*>(malloc(sizeof(Value)));
  value->data = static_cast<char*>(malloc(SizeOf(name)));
  taskmem_thread_attach(before, nullptr);
  snprintf(value->name, sizeof(value->name), "%s", name.c_str());
  FillPattern(value->data, SizeOf(name), SeedOf(name));
  g_values.fetch_add(1);
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.bytes = SizeOf(name);
  options.value = value;
  options.destroy = Destroy;
  options.serialize = can_serialize ? Serialize : nullptr;
  const int error = taskmem_block_put(name.c_str(), &options);
  if (error != 0) Destroy(nullptr, value, SizeOf(name));
  return error;
}

void Check(const taskmem_block& block, const std::string& name) {
  REQUIRE_COMPARE(block.bytes, ==, SizeOf(name));
  const void* const data =
      block.kind == TASKMEM_BLOCK_VALUE ? static_cast<const Value*>(block.data)->data : block.data;
  REQUIRE(HasPattern(data, block.bytes, SeedOf(name)));
}

void Run(uint64_t random, int thread) {
  const uint64_t task = kTask + static_cast<uint64_t>(thread);
  Begin(task);
  Attach(task);
  std::vector<std::pair<std::string, taskmem_block>> pins;
  std::vector<void*> memory;
  for (int step = 0; step < kSteps; ++step) {
    const uint64_t pick = NextRandom(&random);
    const std::string name = "b" + std::to_string(pick / 100 % kNames);
    switch (pick % 10) {
      case 0:
      case 1:
      case 2: {
        const bool is_value = SeedOf(name) % 3 == 0;
        const uint32_t level = SeedOf(name) % 3 == 1         ? TASKMEM_MEMORY_ONLY
                               : g_has_disk && pick % 7 == 0 ? TASKMEM_DISK_ONLY
                                                             : TASKMEM_MEMORY_AND_DISK;
        const int error =
            is_value ? PutValue(name, pick % 2 == 0) : PutPattern(name, SizeOf(name), level);
        REQUIRE(error == 0 || error == EEXIST || error == ENOMEM);
        break;
      }
      case 3:
      case 4:
      case 5: {
        taskmem_block block = {};
        const int error = taskmem_block_get(name.c_str(), &block);
        REQUIRE(error == 0 || error == ENOENT);
        if (error != 0) break;
        Check(block, name);
        if (pins.size() < 3 && pick % 3 == 0) {
          pins.emplace_back(name, block);
        } else {
          REQUIRE_COMPARE(taskmem_block_release(&block), ==, 0);
        }
        break;
      }
      case 6: {
        const int error = taskmem_block_remove(name.c_str());
        REQUIRE(error == 0 || error == ENOENT || error == EBUSY);
        break;
      }
      case 7:
        if (memory.size() < 8) {
          void* const block = malloc(kMiB);  // may evict, may be refused
          if (block != nullptr) memory.push_back(block);
        } else {
          free(memory.back());
          memory.pop_back();
        }
        break;
      case 8:
        if (!pins.empty()) {
          Check(pins.back().second, pins.back().first);
          REQUIRE_COMPARE(taskmem_block_release(&pins.back().second), ==, 0);
          pins.pop_back();
        }
        break;
      default: {
        taskmem_block_status status;
        taskmem_block_info(name.c_str(), &status);
        if (pick / 10 % 40 != 0) break;
        for (const auto& [pinned, block] : pins) Check(block, pinned);
        pins.clear();  // with the task
        End(task);
        Begin(task);
        Attach(task);
        break;
      }
    }
  }
  for (void* const block : memory) free(block);
  End(task);
}

}  // namespace

int main(int, char** argv) {
  uint64_t random = strtoull(argv[1], nullptr, 10);
  g_has_disk = argv[2] == std::string("disk");
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(Run, NextRandom(&random), i);
  for (std::thread& thread : threads) thread.join();
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "b" + std::to_string(i);
    if (!Contains(name)) continue;
    const taskmem_block block = Get(name);
    Check(block, name);
    Release(block);
    REQUIRE_COMPARE(taskmem_block_remove(name.c_str()), ==, 0);
  }
  REQUIRE_COMPARE(g_values.load(), ==, 0);
  REQUIRE_COMPARE(StoragePool(stats), ==, 0);
  RequireBooksMatchPages();
  return 0;
}
