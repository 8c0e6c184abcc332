// taskmem's C API: tell the preload library which task a thread works for.
//
// Include this header, call the functions, and link nothing: the symbols are
// weak. Where libtaskmem.so is not preloaded every call returns ENOSYS (and
// taskmem_version() returns NULL), so one build runs with and without it.
//
// Every function is thread-safe, returns 0 or an errno value, and never aborts
// on bad input. Sizes are bytes. errno is left alone.
//
//   EINVAL  a NULL pointer where one is needed, a quota of 0, a bad options size
//   EEXIST  task_begin of an id that is live
//   ENOENT  no live task has this id; for owner_of: no block is at this address
//   EAGAIN  all task slots are taken by live tasks
//   ENOMEM  the quota, --memory or the system has not that much
//   ENOSPC  all 8192 page numbers of the task are taken
//   ENOSYS  libtaskmem.so is not preloaded
#ifndef TASKMEM_SHIM_TASKMEM_H_
#define TASKMEM_SHIM_TASKMEM_H_

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TASKMEM_DEFAULT(value) = value
extern "C" {
#else
#define TASKMEM_DEFAULT(value)
#endif

#define TASKMEM_API __attribute__((weak, visibility("default")))

// The id that stands for "no task". A program's own tasks must not use it.
#define TASKMEM_UNTRACKED UINT64_MAX
// Tasks that nobody began by this API (--task-by process and thread) have ids
// from here on: this plus the process's or thread's id. Leave these 2^32 alone.
#define TASKMEM_IMPLICIT_TASK (UINT64_C(1) << 48)
// A quota that never refuses.
#define TASKMEM_NO_QUOTA UINT64_MAX

typedef struct taskmem_options {
  size_t size;           // sizeof(taskmem_options): lets the struct grow
  uint64_t quota_bytes;  // 0: the --quota of the process; TASKMEM_NO_QUOTA: none
  const char* name;      // shown in tables, cut at 47 bytes, copied; may be NULL
} taskmem_options;

typedef struct taskmem_usage {
  uint64_t quota_bytes;           // TASKMEM_NO_QUOTA without one
  uint64_t charged_bytes;         // held now; charged - overdraft <= quota, always
  uint64_t peak_charged_bytes;    // largest charged_bytes so far
  uint64_t overdraft_bytes;       // what is held above the quota now
  uint64_t peak_overdraft_bytes;  // largest overdraft_bytes so far
  uint64_t pages;                 // pages and large blocks that are this task's own
  uint64_t refusals;              // allocations that failed because of the quota
  uint64_t overdrafts;            // charges that policy let through above the quota
  uint64_t threads;               // threads that work for the task now
} taskmem_usage;

// Starts a task. `options` may be NULL. Attaches no thread.
TASKMEM_API int taskmem_task_begin(uint64_t id, const taskmem_options* options);

// Ends a task. Every thread that works for it is untracked from here on. What
// the task still holds stays charged to it ("retained") until it is freed; the
// id may be begun again at once. `usage` may be NULL.
TASKMEM_API int taskmem_task_end(uint64_t id, taskmem_usage* usage);

// What this thread allocates from now on belongs to task `id` (which may be
// TASKMEM_UNTRACKED). `previous`, where not NULL, receives the id it worked for
// before. On an error nothing changes. Costs nanoseconds.
TASKMEM_API int taskmem_thread_attach(uint64_t id, uint64_t* previous TASKMEM_DEFAULT(NULL));

// Makes this thread untracked. Same as attaching it to TASKMEM_UNTRACKED.
TASKMEM_API int taskmem_thread_detach(void);

// Reads a live task's books.
TASKMEM_API int taskmem_task_usage(uint64_t id, taskmem_usage* usage);

// Changes a live task's quota. A quota below what the task holds refuses
// further growth and takes nothing away. TASKMEM_NO_QUOTA lifts it.
TASKMEM_API int taskmem_task_set_quota(uint64_t id, uint64_t bytes);

// The task that owns the block at `address`, which may point anywhere into it:
// TASKMEM_UNTRACKED for memory no task owns, and for what a task left behind that
// ended long ago. ENOENT where no block is. In a page that is a task's own, what is
// free is the task's, too.
TASKMEM_API int taskmem_owner_of(const void* address, uint64_t* id);

// Spark's pages: memory of the thread's task with a page number, so that an address in it
// can be kept as one word: 13 bits of page number, 51 of offset.
typedef struct taskmem_page {
  void* address;
  uint64_t bytes;
  uint64_t task;
  uint64_t serial;  // taskmem's own: tells a freed page from a later one in its place
  uint32_t number;  // the lowest that was free
} taskmem_page;

// A page of `bytes`, at most 17179869176, charged to the task this thread works for. Freed by
// taskmem_page_free, on any thread; the task's end takes its number and leaves the memory.
// ENOENT: the thread works for no task. ENOMEM, ENOSPC.
TASKMEM_API int taskmem_page_allocate(uint64_t bytes, taskmem_page* page);

// Frees the page and clears *page. EINVAL: it is no page, or was freed before.
TASKMEM_API int taskmem_page_free(taskmem_page* page);

// One word for an address: of a page, or of any live block a task owns, whoever allocated
// it. It stands for the address until the block is freed or the task ends. ENOENT: no block
// is there, or it is no live task's. ENOSPC.
TASKMEM_API int taskmem_encode(const void* address, uint64_t* encoded);

// The address that was encoded for a live task. ENOENT: the task has no such page.
TASKMEM_API int taskmem_decode(uint64_t task, uint64_t encoded, void** address);

// Asks the pages instead of the books: walks every heap and adds up what the
// books must say. 0 where they agree for every task, EILSEQ where they do not.
// Right only while no other thread allocates or frees. For tests.
TASKMEM_API int taskmem_walk_heaps(uint64_t* charged_bytes, uint64_t* walked_bytes);

// The version of the library, "MAJOR.MINOR.PATCH", never freed.
TASKMEM_API const char* taskmem_version(void);

#ifdef __cplusplus
}
#endif

#ifndef TASKMEM_IMPLEMENTATION
#define TASKMEM_CALL(function, ...) ((function) ? (function)(__VA_ARGS__) : ENOSYS)
#define taskmem_task_begin(...) TASKMEM_CALL(taskmem_task_begin, __VA_ARGS__)
#define taskmem_task_end(...) TASKMEM_CALL(taskmem_task_end, __VA_ARGS__)
#define taskmem_thread_attach(...) TASKMEM_CALL(taskmem_thread_attach, __VA_ARGS__)
#define taskmem_thread_detach() TASKMEM_CALL(taskmem_thread_detach)
#define taskmem_task_usage(...) TASKMEM_CALL(taskmem_task_usage, __VA_ARGS__)
#define taskmem_task_set_quota(...) TASKMEM_CALL(taskmem_task_set_quota, __VA_ARGS__)
#define taskmem_owner_of(...) TASKMEM_CALL(taskmem_owner_of, __VA_ARGS__)
#define taskmem_page_allocate(...) TASKMEM_CALL(taskmem_page_allocate, __VA_ARGS__)
#define taskmem_page_free(...) TASKMEM_CALL(taskmem_page_free, __VA_ARGS__)
#define taskmem_encode(...) TASKMEM_CALL(taskmem_encode, __VA_ARGS__)
#define taskmem_decode(...) TASKMEM_CALL(taskmem_decode, __VA_ARGS__)
#define taskmem_walk_heaps(...) TASKMEM_CALL(taskmem_walk_heaps, __VA_ARGS__)
#define taskmem_version() ((taskmem_version) ? (taskmem_version)() : NULL)
#endif

#endif  // TASKMEM_SHIM_TASKMEM_H_
