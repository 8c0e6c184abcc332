// What the library shows to the programs it is loaded into, and what it needs:
// exactly the list below, and nothing but libc.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/support/child.h"
#include "tests/support/elf_file.h"

namespace taskmem::test {
namespace {

const std::set<std::string>& Expected() {
  static const std::set<std::string> names = {
      // C
      "malloc", "calloc", "realloc", "free", "cfree", "reallocarray", "memalign", "aligned_alloc",
      "posix_memalign", "valloc", "pvalloc", "malloc_usable_size", "free_sized",
      "free_aligned_sized",
      // glibc's own names
      "__libc_malloc", "__libc_calloc", "__libc_realloc", "__libc_free", "__libc_cfree",
      "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "__posix_memalign",
      // statistics and tuning
      "mallopt", "mallinfo", "mallinfo2", "malloc_info", "malloc_stats", "malloc_trim",
      // operator new and new[]: plain, nothrow, aligned, aligned nothrow
      "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t",
      "_ZnamSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t",
      "_ZnamSt11align_val_tRKSt9nothrow_t",
      // operator delete and delete[]: plain, sized, nothrow, aligned, sized aligned,
      // aligned nothrow
      "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t",
      "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t",
      "_ZdaPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
      "_ZdaPvSt11align_val_tRKSt9nothrow_t",
      // threads and their names
      "pthread_create", "thrd_create", "pthread_setname_np", "prctl", "syscall",
      "JVM_SetNativeThreadName", "JVM_StartThread",
      // the face of the API for Java
      "JNI_OnLoad_taskmem",
      // mappings
      "mmap", "mmap64", "munmap", "mremap", "mprotect", "pkey_mprotect", "madvise", "brk", "sbrk",
      "shmat", "shmdt",
      // fork
      "__register_atfork",
      // libraries that are unmapped
      "dlclose",
      // the beginning and the end of the process
      "__libc_start_main", "exit", "_exit", "_Exit", "quick_exit", "abort",
      // the API
      "taskmem_task_begin", "taskmem_task_end", "taskmem_thread_attach", "taskmem_thread_detach",
      "taskmem_task_usage", "taskmem_task_set_quota", "taskmem_owner_of",
      "taskmem_sample_residency", "taskmem_next_mapping", "taskmem_audit", "taskmem_walk_heaps",
      "taskmem_page_allocate", "taskmem_page_free", "taskmem_encode", "taskmem_decode",
      "taskmem_block_put", "taskmem_block_get", "taskmem_block_release", "taskmem_block_remove",
      "taskmem_block_contains", "taskmem_block_info", "taskmem_consumer_register",
      "taskmem_consumer_unregister", "taskmem_consumer_report", "taskmem_thread_consumer",
      "taskmem_thread_task", "taskmem_task_info", "taskmem_tasks_next", "taskmem_process_info",
      "taskmem_task_spill", "taskmem_on_refusal", "taskmem_set_label", "taskmem_version"};
  return names;
}

class Exports : public ::testing::Test {
 protected:
  const ElfFile library_ = ReadElf(LibraryPath());
};

TEST_F(Exports, AreTheListAndNothingElse) {
  EXPECT_THAT(library_.exported, ::testing::ContainerEq(Expected()));
}

// A program with a malloc of its own would get our blocks from them.
TEST_F(Exports, LeaveStrdupToLibc) {
  for (const char* name : {"strdup", "strndup", "__strdup", "__strndup", "realpath", "getline"}) {
    EXPECT_FALSE(library_.exported.contains(name)) << name;
  }
}

TEST_F(Exports, NeedNothingButLibc) {
  EXPECT_TRUE(library_.needed.contains("libc.so.6"));
  EXPECT_THAT(library_.needed,
              ::testing::IsSubsetOf(std::set<std::string>{"libc.so.6", "ld-linux-x86-64.so.2"}));
}

TEST_F(Exports, AreBoundAtOnce) {
  EXPECT_TRUE((library_.flags & DF_BIND_NOW) != 0 || (library_.flags_1 & DF_1_NOW) != 0);
  EXPECT_FALSE(library_.has_text_relocations);
}

// The loader has about 1.6 KiB for libraries that are opened late.
TEST_F(Exports, LeaveThreadLocalStorageToOthers) {
  EXPECT_TRUE(library_.flags & DF_STATIC_TLS);
  EXPECT_LE(library_.thread_local_bytes, 512u);
}

}  // namespace
}  // namespace taskmem::test
