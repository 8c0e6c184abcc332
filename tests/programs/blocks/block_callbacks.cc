// What a callback may do: allocate, attach, use other blocks, fork. What would wait for a
// lock that its own thread has is EBUSY.
#include <sys/wait.h>

#include "tests/programs/support/blocks.h"

namespace {

int Supply(void* context, void* to, uint64_t bytes) {
  taskmem_block block = {};
  const auto* const name = static_cast<const char*>(context);
  REQUIRE_COMPARE(taskmem_block_get(name, &block), ==, EBUSY);
  REQUIRE_COMPARE(taskmem_block_remove(name), ==, EBUSY);
  REQUIRE_COMPARE(PutPattern(name, 10), ==, EEXIST);
  REQUIRE_COMPARE(PutPattern("inner", 1000), ==, 0);
  RequirePattern("inner", 1000);
  void* const memory = malloc(10000);
  REQUIRE(OwnerOf(memory) == kTask);
  free(memory);
  const pid_t child = fork();
  if (child == 0) {
    RequirePattern("inner", 1000);
    FillPattern(to, bytes, SeedOf(name));
    return 0;  // the put goes on in the child, too
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE_COMPARE(status, ==, 0);
  FillPattern(to, bytes, SeedOf(name));
  return 0;
}

struct Value {
  const char* name;
};

void Destroy(void*, void* value, uint64_t) {
  const auto* const self = static_cast<Value*>(value);
  // It is being removed, or gone.
  taskmem_block block = {};
  const int error = taskmem_block_get(self->name, &block);
  REQUIRE(error == EBUSY || error == ENOENT);
  void* const memory = malloc(2 * kMiB);
  REQUIRE(memory != nullptr);
  free(memory);
  REQUIRE_COMPARE(PutPattern(std::string("after ") + self->name, 100), ==, 0);
}

int PutValue(Value* value, uint64_t bytes) {
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.bytes = bytes;
  options.value = value;
  options.destroy = Destroy;
  return taskmem_block_put(value->name, &options);
}

}  // namespace

int main() {
  const pid_t self = getpid();
  Begin(kTask);
  Attach(kTask);
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.bytes = kMiB;
  options.supply = Supply;
  options.context = const_cast<char*>("outer");
  const int put = taskmem_block_put("outer", &options);
  if (getpid() != self) {
    REQUIRE_COMPARE(put, ==, 0);
    RequirePattern("outer", kMiB);
    RequirePattern("inner", 1000);
    _exit(0);
  }
  REQUIRE_COMPARE(put, ==, 0);
  RequirePattern("outer", kMiB);

  Value removed = {"removed"};
  REQUIRE_COMPARE(PutValue(&removed, 100), ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("removed"), ==, 0);
  REQUIRE(Contains("after removed"));

  // Amid an allocation of the task.
  Value evicted = {"evicted"};
  REQUIRE_COMPARE(PutValue(&evicted, 50 * kMiB), ==, 0);
  void* const memory = malloc(20 * kMiB);
  REQUIRE(memory != nullptr);
  REQUIRE(OwnerOf(memory) == kTask);
  REQUIRE(!Contains("evicted"));
  REQUIRE(Contains("after evicted"));
  free(memory);
  End(kTask);
  RequireBooksMatchPages();
  return 0;
}
