// A program in a small address space (`ulimit -v`): every entry point of malloc, blocks up to a
// quarter of what is left, threads, children, mappings, and calls of the C API, which may fail.
#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <new>

#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

namespace {

bool IsAligned(const void* block, size_t alignment) {
  return block != nullptr && reinterpret_cast<uintptr_t>(block) % alignment == 0;
}

void UseAll() {
  for (size_t size = 1; size <= 64 << 10; size = size * 3 / 2 + 1) {
    auto* block = static_cast<unsigned char*>(malloc(size));
    REQUIRE(block != nullptr);
    REQUIRE(malloc_usable_size(block) >= size);
    memset(block, 0x5a, size);
    block = static_cast<unsigned char*>(realloc(block, size * 3));
    REQUIRE(block != nullptr && block[0] == 0x5a && block[size - 1] == 0x5a);
    free(block);
    block = static_cast<unsigned char*>(calloc(size, 2));
    for (size_t i = 0; i < 2 * size; ++i) REQUIRE(block[i] == 0);
    free(block);
    for (size_t alignment = 16; alignment <= 8192; alignment *= 2) {
      void* aligned = nullptr;
      REQUIRE(posix_memalign(&aligned, alignment, size) == 0 && IsAligned(aligned, alignment));
      aligned = realloc(aligned, size + 1);
      REQUIRE(aligned != nullptr);
      free(aligned);
      aligned = aligned_alloc(alignment, size);
      REQUIRE(IsAligned(aligned, alignment));
      free(aligned);
      aligned = operator new(size, std::align_val_t(alignment));
      REQUIRE(IsAligned(aligned, alignment));
      operator delete(aligned, std::align_val_t(alignment));
    }
    delete[] new char[size];
  }
  errno = 0;
  REQUIRE(malloc(SIZE_MAX / 2) == nullptr && errno == ENOMEM);
  void* const mapped =
      mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapped != MAP_FAILED);
  REQUIRE(munmap(mapped, 8192) == 0);
  malloc_trim(0);
}

void* UseAllInThread(void*) {
  UseAll();
  return nullptr;
}

}  // namespace

int main() {
  UseAll();
  // What plain malloc can have.
  rlimit limit;
  REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
  void* const large = malloc(limit.rlim_cur / 8);
  REQUIRE(large != nullptr);
  free(large);

  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 << 10);
  pthread_t threads[2];
  for (pthread_t& thread : threads) {
    REQUIRE(pthread_create(&thread, &attributes, UseAllInThread, nullptr) == 0);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);

  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    UseAll();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child && status == 0);

  taskmem_usage usage = {};
  taskmem_task_begin(7, nullptr);
  taskmem_thread_attach(7, nullptr);
  free(malloc(100));
  taskmem_thread_detach();
  taskmem_task_usage(7, &usage);
  taskmem_task_set_quota(7, 1 << 20);
  uint64_t number = 0;
  taskmem_owner_of(&usage, &number);
  taskmem_encode(&usage, &number);
  taskmem_sample_residency();
  taskmem_mapping mapping;
  taskmem_next_mapping(nullptr, &mapping);
  taskmem_page page = {};
  taskmem_page_allocate(4096, &page);
  taskmem_consumer consumer = 0;
  taskmem_consumer_register(7, nullptr, &consumer);
  taskmem_block_contains("none");
  taskmem_task_end(7, &usage);
  puts("done");
}
