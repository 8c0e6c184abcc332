// System V memory is charged whatever its id is: the first one of a system has 0, which
// /proc/self/maps shows as its inode, and later ones may have the inode of another object.
#include <fcntl.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "tests/programs/support/mappings.h"

namespace {

void* Attached(uint64_t bytes, int* id) {
  *id = shmget(IPC_PRIVATE, bytes, 0600);
  REQUIRE(*id >= 0);
  void* const segment = shmat(*id, nullptr, 0);
  REQUIRE(segment != reinterpret_cast<void*>(-1));
  shmctl(*id, IPC_RMID, nullptr);
  Touch(segment, bytes);
  return segment;
}

// Only where the kernel lets one choose.
void ChooseNextId(uint64_t id) {
  const int file = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  char text[32];
  const int length = snprintf(text, sizeof(text), "%llu", static_cast<unsigned long long>(id));
  (void)!write(file, text, static_cast<size_t>(length));
  close(file);
}

}  // namespace

int main() {
  // Ids begin anew, where that is allowed.
  const bool is_first = unshare(CLONE_NEWIPC) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0;
  Begin(kTask);
  Attach(kTask);
  const uint64_t before = Charged(kTask);
  int id = -1;
  void* const first = Attached(3 * kMiB, &id);
  if (is_first) REQUIRE_COMPARE(id, ==, 0);
  taskmem_sample_residency();
  REQUIRE_COMPARE(Charged(kTask) - before, ==, 3 * kMiB);

  const int memory = memfd_create("memory", 0);
  REQUIRE(memory >= 0 && ftruncate(memory, 2 * kMiB) == 0);
  void* const shared = mmap(nullptr, 2 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  REQUIRE(shared != MAP_FAILED);
  Touch(shared, 2 * kMiB);
  struct stat about;
  REQUIRE(fstat(memory, &about) == 0);
  ChooseNextId(about.st_ino);
  void* const second = Attached(kMiB, &id);
  taskmem_sample_residency();
  REQUIRE_COMPARE(Charged(kTask) - before, ==, 6 * kMiB);
  REQUIRE(shmdt(first) == 0 && shmdt(second) == 0 && munmap(shared, 2 * kMiB) == 0);
  close(memory);
}
