// The corners of the mapping calls: what they answer and set, as the kernel does. Runs without
// the library, too; with it, what it knows is what the kernel knows after each.
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>

#include "tests/programs/support/mappings.h"

namespace {

char* const kBase = reinterpret_cast<char*>(uint64_t{1} << 44);
constexpr uint64_t kBytes = 1024 * kPage;

bool IsPreloaded() { return taskmem_version() != nullptr; }

void Compare() {
  if (!IsPreloaded()) return;
  RequireMapMatchesKernel(kBase, kBytes);
  RequireBooksMatchPages();
}

// Answers `failure` with that errno.
#define REQUIRE_FAILS(call, failure, error) \
  do {                                      \
    errno = 0;                              \
    REQUIRE((call) == (failure));           \
    REQUIRE_COMPARE(errno, ==, error);      \
    Compare();                              \
  } while (0)

void* At(uint64_t page, uint64_t pages, int protection = PROT_READ | PROT_WRITE, int flags = 0) {
  void* const wanted = kBase + page * kPage;
  void* const got = Anonymous(pages * kPage, protection, flags | MAP_FIXED, wanted);
  REQUIRE(got == wanted);
  Compare();
  return got;
}

void Clear() {
  REQUIRE(munmap(kBase, kBytes) == 0);
  Compare();
}

void Lengths() {
  REQUIRE_FAILS(mmap(nullptr, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED,
                EINVAL);
  REQUIRE_FAILS(mmap(nullptr, SIZE_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), MAP_FAILED,
                ENOMEM);
  REQUIRE_FAILS(
      mmap(nullptr, SIZE_MAX - kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      MAP_FAILED, ENOMEM);
  REQUIRE_FAILS(munmap(kBase, 0), -1, EINVAL);
  REQUIRE_FAILS(munmap(kBase + 1, kPage), -1, EINVAL);
  REQUIRE_FAILS(munmap(kBase, SIZE_MAX), -1, EINVAL);
  REQUIRE_FAILS(mprotect(kBase + 1, kPage, PROT_READ), -1, EINVAL);
  errno = 0;
  REQUIRE(mprotect(kBase, 0, PROT_READ) == 0 && errno == 0);
  REQUIRE(madvise(kBase, 0, MADV_DONTNEED) == 0 && errno == 0);
  REQUIRE_FAILS(madvise(kBase, kPage, 4711), -1, EINVAL);
  // A length that is no multiple of the page is rounded up.
  REQUIRE(Anonymous(kPage + 1, PROT_READ | PROT_WRITE, MAP_FIXED, kBase) == kBase);
  Compare();
  REQUIRE(munmap(kBase, 1) == 0);
  Compare();
  Clear();
}

void Flags() {
  REQUIRE_FAILS(mmap(nullptr, kPage, PROT_READ, MAP_ANONYMOUS, -1, 0), MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, -1, 0), MAP_FAILED, EBADF);
  REQUIRE_FAILS(mmap(kBase + 1, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                MAP_FAILED, EINVAL);
  At(4, 4);
  REQUIRE_FAILS(Anonymous(8 * kPage, PROT_READ, MAP_FIXED_NOREPLACE, kBase), MAP_FAILED, EEXIST);
  REQUIRE(Anonymous(4 * kPage, PROT_READ, MAP_FIXED_NOREPLACE, kBase) == kBase);
  Compare();
  Clear();
  const int fd = open("/proc/self/exe", O_RDONLY);
  REQUIRE(fd >= 0);
  REQUIRE_FAILS(mmap(nullptr, kPage, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED, EACCES);
  REQUIRE_FAILS(mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, fd, 1), MAP_FAILED, EINVAL);
  REQUIRE(mmap(kBase, 2 * kPage, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == kBase);
  Compare();
  REQUIRE(mprotect(kBase, kPage, PROT_READ | PROT_WRITE) == 0);
  Compare();
  close(fd);
  Clear();
}

void HugePages() {
  // There are none reserved: refused, or they are there.
  void* const huge = Anonymous(kMiB, PROT_READ | PROT_WRITE, MAP_HUGETLB);
  if (huge == MAP_FAILED) {
    REQUIRE(errno == ENOMEM || errno == EINVAL || errno == ENODEV);
  } else {
    REQUIRE(munmap(huge, 2 * kMiB) == 0);
  }
  Compare();
}

void Partial() {
  At(0, 100);
  REQUIRE(munmap(kBase + 10 * kPage, 10 * kPage) == 0);
  Compare();
  REQUIRE(munmap(kBase + 5 * kPage, 50 * kPage) == 0);
  Compare();
  REQUIRE(munmap(kBase + 5 * kPage, 50 * kPage) == 0);  // nothing is there
  Compare();
  // It is done up to the hole, and then fails.
  REQUIRE_FAILS(mprotect(kBase, 100 * kPage, PROT_READ), -1, ENOMEM);
  REQUIRE_FAILS(madvise(kBase, 100 * kPage, MADV_DONTNEED), -1, ENOMEM);
  Clear();
  for (uint64_t i = 0; i < 40; ++i) At(2 * i, 1);
  REQUIRE(munmap(kBase, 80 * kPage) == 0);  // many at once
  Compare();
  // A read-only file cannot be made writable where it is shared; what comes before is.
  At(0, 2, PROT_READ);
  const int fd = open("/proc/self/exe", O_RDONLY);
  REQUIRE(mmap(kBase + 2 * kPage, kPage, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
          kBase + 2 * kPage);
  close(fd);
  REQUIRE_FAILS(mprotect(kBase, 3 * kPage, PROT_READ | PROT_WRITE), -1, EACCES);
  Clear();
}

void Remap() {
  At(0, 4);
  REQUIRE_FAILS(mremap(kBase, 4 * kPage, 0, 0), MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mremap(kBase + 1, kPage, kPage, 0), MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mremap(kBase, kPage, kPage, 64), MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mremap(kBase, kPage, kPage, MREMAP_FIXED, kBase + 8 * kPage), MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mremap(kBase, 4 * kPage, 4 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, kBase + kPage),
                MAP_FAILED, EINVAL);
  REQUIRE_FAILS(mremap(kBase + 100 * kPage, kPage, 2 * kPage, MREMAP_MAYMOVE), MAP_FAILED, EFAULT);
  // A private one is not duplicated; a shared one is.
  REQUIRE_FAILS(mremap(kBase, 0, 4 * kPage, MREMAP_MAYMOVE), MAP_FAILED, EINVAL);
  At(4, 1);
  REQUIRE_FAILS(mremap(kBase, 4 * kPage, 8 * kPage, 0), MAP_FAILED, ENOMEM);
  kBase[0] = 7;
  REQUIRE(mremap(kBase, 4 * kPage, 2 * kPage, 0) == kBase);
  Compare();
  REQUIRE(mremap(kBase, 2 * kPage, 3 * kPage, 0) == kBase);
  Compare();
  char* const moved = kBase + 20 * kPage;
  At(20, 10);
  REQUIRE(mremap(kBase, 3 * kPage, 5 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, moved) == moved);
  Compare();
  REQUIRE(moved[0] == 7);
  REQUIRE(mremap(moved, 5 * kPage, 5 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
                 kBase) == kBase);
  Compare();
  REQUIRE(kBase[0] == 7 && moved[0] == 0);
  // It may go anywhere.
  At(5, 1);
  void* const away = mremap(kBase, 5 * kPage, 500 * kPage, MREMAP_MAYMOVE);
  REQUIRE(away != MAP_FAILED && *static_cast<char*>(away) == 7);
  Compare();
  REQUIRE(munmap(away, 500 * kPage) == 0);
  Clear();
  REQUIRE(mmap(kBase, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) == kBase);
  REQUIRE(mremap(kBase, 0, 4 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, moved) == moved);
  Compare();
  kBase[0] = 9;
  REQUIRE(moved[0] == 9);
  Clear();
}

// Since Linux 6.17 several mappings are moved by one call, and it may fail amid them: one of
// /dev/zero cannot be moved so. Before, nothing has moved.
void RemapSeveral() {
  const int fd = open("/dev/zero", O_RDWR);
  REQUIRE(fd >= 0);
  At(0, 2);
  At(3, 2, PROT_READ);
  REQUIRE(mmap(kBase + 6 * kPage, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
               0) == kBase + 6 * kPage);
  close(fd);
  Compare();
  REQUIRE_FAILS(
      mremap(kBase, 8 * kPage, 8 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, kBase + 100 * kPage),
      MAP_FAILED, EFAULT);
  mremap(kBase, 5 * kPage, 5 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, kBase + 200 * kPage);
  Compare();
  Clear();
}

void ProtectionKeys() {
  At(0, 4, PROT_NONE);
  REQUIRE(pkey_mprotect(kBase, 2 * kPage, PROT_READ | PROT_WRITE, -1) == 0);
  Compare();
  // No such key, or a system without them.
  errno = 0;
  REQUIRE(pkey_mprotect(kBase, 4 * kPage, PROT_READ, 15) == -1);
  REQUIRE(errno == EINVAL || errno == ENOSYS);
  Compare();
  const int key = pkey_alloc(0, 0);
  if (key >= 0) {
    REQUIRE(pkey_mprotect(kBase, 3 * kPage, PROT_READ | PROT_WRITE, key) == 0);
    Compare();
    kBase[2 * kPage] = 1;
    pkey_free(key);
  }
  Clear();
}

void GrowsDown() {
  char* const stack = static_cast<char*>(At(600, 2, PROT_READ | PROT_WRITE, MAP_GROWSDOWN));
  static_cast<volatile char*>(stack)[-16] = 1;
  REQUIRE(stack[-16] == 1);
  Clear();
}

void Break() {
  char* const before = static_cast<char*>(sbrk(0));
  REQUIRE(sbrk(3 * kPage) == before);
  before[3 * kPage - 1] = 1;
  REQUIRE(sbrk(0) == before + 3 * kPage);
  REQUIRE(brk(before + kPage) == 0);
  REQUIRE(sbrk(-static_cast<intptr_t>(kPage)) == before + kPage);
  REQUIRE(sbrk(0) == before);
  Compare();
  REQUIRE_FAILS(sbrk(INTPTR_MAX), reinterpret_cast<void*>(-1), ENOMEM);
  REQUIRE_FAILS(brk(reinterpret_cast<void*>(UINT64_MAX)), -1, ENOMEM);
  REQUIRE(sbrk(0) == before);
  errno = 0;
  REQUIRE(sbrk(kPage) == before && brk(before) == 0 && errno == 0);
}

void Shared() {
  const int id = shmget(IPC_PRIVATE, 3 * kPage + 1, 0600);
  REQUIRE(id >= 0);
  REQUIRE(shmat(id, kBase, 0) == kBase);
  Compare();
  REQUIRE(shmat(id, kBase + 4 * kPage, SHM_RDONLY) == kBase + 4 * kPage);
  Compare();
  kBase[0] = 3;
  REQUIRE(kBase[4 * kPage] == 3);
  REQUIRE_FAILS(shmdt(kBase + kPage), -1, EINVAL);
  REQUIRE(shmdt(kBase) == 0);
  Compare();
  REQUIRE(kBase[4 * kPage] == 3);
  REQUIRE(shmdt(kBase + 4 * kPage) == 0);
  Compare();
  REQUIRE_FAILS(shmdt(kBase + 4 * kPage), -1, EINVAL);
  REQUIRE_FAILS(shmat(-1, nullptr, 0), reinterpret_cast<void*>(-1), EINVAL);
  shmctl(id, IPC_RMID, nullptr);
}

// The kernel has no more address space to give.
void NoAddressSpace() {
  At(0, 16);
  rlimit old = {};
  REQUIRE(getrlimit(RLIMIT_AS, &old) == 0);
  const rlimit none = {1, old.rlim_max};
  REQUIRE(setrlimit(RLIMIT_AS, &none) == 0);
  REQUIRE_FAILS(Anonymous(kMiB), MAP_FAILED, ENOMEM);
  REQUIRE_FAILS(mremap(kBase, 16 * kPage, 32 * kPage, 0), MAP_FAILED, ENOMEM);
  REQUIRE_FAILS(
      mremap(kBase, 16 * kPage, 32 * kPage, MREMAP_FIXED | MREMAP_MAYMOVE, kBase + 100 * kPage),
      MAP_FAILED, ENOMEM);
  REQUIRE_FAILS(sbrk(kMiB), reinterpret_cast<void*>(-1), ENOMEM);
  REQUIRE(setrlimit(RLIMIT_AS, &old) == 0);
  Clear();
}

}  // namespace

int main() {
  if (IsPreloaded()) {
    Begin(kTask);
    Attach(kTask);
  }
  Lengths();
  Flags();
  HugePages();
  Partial();
  Remap();
  RemapSeveral();
  ProtectionKeys();
  GrowsDown();
  Break();
  Shared();
  NoAddressSpace();
  if (IsPreloaded()) {
    taskmem_sample_residency();
    REQUIRE_COMPARE(Charged(kTask), <, 128 * 1024);
  }
}
