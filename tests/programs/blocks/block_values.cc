// Values in the block store: each is destroyed once, by whoever it belongs to, whatever
// becomes of its block. --memory is 64 MiB; there is a spill directory.
#include <map>

#include "tests/programs/support/blocks.h"

namespace {

// A value whose memory is storage memory.
struct Value {
  std::string name;
  uint64_t bytes;
  char* data;
};

std::map<std::string, int> g_destroyed;
int g_serialize_error = 0;

Value* Build(const std::string& name, uint64_t bytes) {
  uint64_t before = 0;
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_STORAGE, &before), ==, 0);
  auto* data = static_cast<char*>(malloc(bytes));
  REQUIRE_COMPARE(taskmem_thread_attach(before, nullptr), ==, 0);
  REQUIRE(data != nullptr);
  REQUIRE(OwnerOf(data) == TASKMEM_STORAGE);
  FillPattern(data, bytes, SeedOf(name));
  return new Value{name, bytes, data};
}

void Destroy(void* context, void* value, uint64_t bytes) {
  auto* const self = static_cast<Value*>(value);
  REQUIRE(context == &g_destroyed && bytes == self->bytes);
  REQUIRE(HasPattern(self->data, self->bytes, SeedOf(self->name)));
  ++g_destroyed[self->name];
  free(self->data);
  delete self;
}

int Serialize(void*, const void* value, taskmem_block_write write, void* sink) {
  const auto* const self = static_cast<const Value*>(value);
  if (g_serialize_error != 0) return g_serialize_error;
  const uint64_t half = self->bytes / 2;
  if (const int error = write(sink, self->data, half)) return error;
  return write(sink, self->data + half, self->bytes - half);
}

int Put(Value* value, bool can_serialize, uint32_t level = TASKMEM_MEMORY_AND_DISK) {
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.level = level;
  options.bytes = value->bytes;
  options.value = value;
  options.destroy = Destroy;
  options.serialize = can_serialize ? Serialize : nullptr;
  options.context = &g_destroyed;
  return taskmem_block_put(value->name.c_str(), &options);
}

int Destroyed(const std::string& name) { return g_destroyed[name]; }

void Remove(const std::string& name) { REQUIRE_COMPARE(taskmem_block_remove(name.c_str()), ==, 0); }

}  // namespace

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  Begin(kTask);
  Attach(kTask);

  // Removed.
  Value* value = Build("removed", 40 * kMiB);
  REQUIRE_COMPARE(Put(value, false), ==, 0);
  REQUIRE_COMPARE(StoragePool(stats), ==, 40 * kMiB);
  REQUIRE_COMPARE(Charged(kTask), <, kMiB);
  taskmem_block block = Get("removed");
  REQUIRE(block.data == value && block.kind == TASKMEM_BLOCK_VALUE && block.bytes == 40 * kMiB);
  REQUIRE_COMPARE(taskmem_block_remove("removed"), ==, EBUSY);
  Release(block);
  Remove("removed");
  REQUIRE_COMPARE(Destroyed("removed"), ==, 1);

  // Evicted, and written.
  REQUIRE_COMPARE(Put(Build("written", 30 * kMiB), true), ==, 0);
  REQUIRE_COMPARE(PutPattern("other", 50 * kMiB, TASKMEM_MEMORY_ONLY), ==, 0);
  REQUIRE_COMPARE(Destroyed("written"), ==, 1);
  RequirePattern("written", 30 * kMiB);  // bytes now
  Remove("written");
  REQUIRE_COMPARE(Destroyed("written"), ==, 1);

  // Evicted, and gone: it cannot be written.
  REQUIRE_COMPARE(Put(Build("gone", 30 * kMiB), false), ==, 0);
  REQUIRE_COMPARE(PutPattern("another", 50 * kMiB, TASKMEM_MEMORY_ONLY), ==, 0);
  REQUIRE_COMPARE(Destroyed("gone"), ==, 1);
  REQUIRE(Where("gone") == "nowhere");

  // Evicted by an allocation of the task: its destructor frees amid that.
  REQUIRE(Where("other") == "nowhere");
  Remove("another");
  REQUIRE_COMPARE(Put(Build("evicted", 20 * kMiB), true), ==, 0);
  REQUIRE_COMPARE(Put(Build("evicted too", 20 * kMiB), false), ==, 0);
  Blocks blocks;
  REQUIRE_COMPARE(blocks.Take(30), ==, 30);
  REQUIRE_COMPARE(Destroyed("evicted"), ==, 1);
  REQUIRE(Where("evicted") == "disk");
  REQUIRE(Where("evicted too") == "memory");
  blocks.FreeAll();
  Remove("evicted too");
  RequirePattern("evicted", 20 * kMiB);
  Remove("evicted");

  // What is not put stays the caller's.
  value = Build("kept", 1000);
  REQUIRE_COMPARE(Put(value, true, TASKMEM_MEMORY_ONLY), ==, 0);
  Value* const second = Build("kept", 1000);
  REQUIRE_COMPARE(Put(second, true), ==, EEXIST);
  REQUIRE_COMPARE(Destroyed("kept"), ==, 0);
  free(second->data);
  delete second;
  Remove("kept");
  REQUIRE_COMPARE(Destroyed("kept"), ==, 1);

  // No room in memory: to disk at once, or not at all.
  REQUIRE_COMPARE(PutPattern("full", 40 * kMiB, TASKMEM_MEMORY_ONLY), ==, 0);
  block = Get("full");
  value = Build("late", 30 * kMiB);
  REQUIRE_COMPARE(Put(value, false), ==, ENOMEM);
  REQUIRE_COMPARE(Put(value, true, TASKMEM_MEMORY_ONLY), ==, ENOMEM);
  REQUIRE_COMPARE(Put(value, false, TASKMEM_DISK_ONLY), ==, EINVAL);
  g_serialize_error = EPROTO;
  REQUIRE_COMPARE(Put(value, true), ==, EPROTO);
  REQUIRE_COMPARE(Put(value, true, TASKMEM_DISK_ONLY), ==, EPROTO);
  REQUIRE_COMPARE(Destroyed("late"), ==, 0);
  g_serialize_error = 0;
  REQUIRE_COMPARE(Put(value, true), ==, 0);
  REQUIRE_COMPARE(Destroyed("late"), ==, 1);
  Release(block);
  Remove("full");
  RequirePattern("late", 30 * kMiB);
  Remove("late");

  // A serializer that fails amid an eviction: the value stays.
  REQUIRE_COMPARE(Put(Build("stays", 40 * kMiB), true), ==, 0);
  g_serialize_error = EPROTO;
  REQUIRE_COMPARE(PutPattern("full", 40 * kMiB, TASKMEM_MEMORY_ONLY), ==, ENOMEM);
  REQUIRE(Where("stays") == "memory");
  REQUIRE_COMPARE(Destroyed("stays"), ==, 0);
  g_serialize_error = 0;

  // Without a destructor, a value is only forgotten.
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.bytes = 1;
  options.value = &options;
  REQUIRE_COMPARE(taskmem_block_put("plain", &options), ==, 0);
  block = Get("plain");
  REQUIRE(block.data == &options);
  Release(block);
  Remove("plain");

  // The block outlives the task that made it.
  End(kTask);
  block = Get("stays");
  REQUIRE(static_cast<const Value*>(block.data)->name == "stays");
  Release(block);
  Remove("stays");
  REQUIRE_COMPARE(Destroyed("stays"), ==, 1);
  for (const auto& [name, count] : g_destroyed) REQUIRE_COMPARE(count, ==, 1);
  REQUIRE_COMPARE(StoragePool(stats), ==, 0);
  RequireBooksMatchPages();
  return 0;
}
