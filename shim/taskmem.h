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
//   EEXIST  task_begin of an id that is live; block_put of a block that is there
//   ENOENT  no live task has this id; for owner_of: nothing is at this address; for blocks:
//           there is no block of this name
//   EAGAIN  all task slots are taken by live tasks; for blocks: a signal handler has
//           interrupted the library
//   ENOMEM  the quota, --memory or the system has not that much
//   ENOSPC  all 8192 page numbers of the task are taken; for blocks: the disk is full, or
//           --spill-dir names none
//   EBUSY   the block is pinned, or being written or removed by somebody else
//   EIO     the disk failed; the block was on it and is lost
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
// No task either: what a thread allocates while it is attached to this is storage memory, as
// cached blocks are. For building values that are then put.
#define TASKMEM_STORAGE (UINT64_MAX - 1)
// Tasks that nobody began by this API (--task-by process and thread) have ids
// from here on: this plus the process's or thread's id. Leave these 2^32 alone.
#define TASKMEM_IMPLICIT_TASK (UINT64_C(1) << 48)
// What ended tasks have left behind that are too old to be listed one by one, added up.
#define TASKMEM_ENDED_TASKS (UINT64_MAX - 3)
// What threads of an engine's pool allocated while several tasks were active (--pool-threads).
#define TASKMEM_SHARED (UINT64_MAX - 4)
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
// TASKMEM_UNTRACKED or TASKMEM_STORAGE). `previous`, where not NULL, receives the id it worked for
// before. On an error nothing changes. Costs nanoseconds.
TASKMEM_API int taskmem_thread_attach(uint64_t id, uint64_t* previous TASKMEM_DEFAULT(NULL));

// Makes this thread untracked. Same as attaching it to TASKMEM_UNTRACKED.
TASKMEM_API int taskmem_thread_detach(void);

// The id of the task that this thread works for; TASKMEM_UNTRACKED where that has ended, or there
// was none.
TASKMEM_API int taskmem_thread_task(uint64_t* id);

// Reads a live task's books.
TASKMEM_API int taskmem_task_usage(uint64_t id, taskmem_usage* usage);

#define TASKMEM_TASK_LIVE 1
#define TASKMEM_TASK_ENDED 2

// All that the books say of a task. Bytes, nanoseconds, and counts since it began.
typedef struct taskmem_task_status {
  size_t size;  // sizeof(taskmem_task_status), set by the caller: lets the struct grow
  uint64_t id;
  char name[48];
  uint32_t state;  // TASKMEM_TASK_LIVE or _ENDED; 0: the id stands for no task
  uint32_t reserved;
  taskmem_usage usage;           // of an ended task: charged_bytes is what it retains
  uint64_t overflow_bytes;       // in the overflow file now, beyond charged_bytes
  uint64_t peak_overflow_bytes;  // the most that was there
  uint64_t pushed_out_bytes;     // of the overflow file, out of memory
  uint64_t returned_bytes;       // of those, that came back
  uint64_t spill_calls;          // of its hooks
  uint64_t spill_asked_bytes;
  uint64_t spill_freed_bytes;  // as the books show it
  uint64_t evicted_blocks;     // cached blocks, to make room for it
  uint64_t evicted_bytes;
  uint64_t stalls;  // allocations that had to have room made for them
  uint64_t stall_ns;
  uint64_t longest_stall_ns;
  uint64_t waits;  // for memory of the pools
  uint64_t wait_ns;
} taskmem_task_status;

// The newest task `id`: the live one, else the last that ended and is still listed. Also
// TASKMEM_UNTRACKED, TASKMEM_STORAGE, TASKMEM_ENDED_TASKS and TASKMEM_SHARED. EINVAL: a size of no
// version.
TASKMEM_API int taskmem_task_info(uint64_t id, taskmem_task_status* status);

// The next task, live or ended, in no order. *cursor is 0 at first and the library's own after
// that; ENOENT: that was all. A task that lives from the first call to the last is met once.
// Allocates nothing.
TASKMEM_API int taskmem_tasks_next(uint64_t* cursor, taskmem_task_status* status);

// All tasks and what no task owns, and the pools they draw on. Bytes.
typedef struct taskmem_process_status {
  size_t size;                  // sizeof(taskmem_process_status), set by the caller
  uint64_t charged_bytes;       // of all tasks and of none
  uint64_t peak_charged_bytes;  // exact to 64 KiB for each thread
  uint64_t untracked_bytes;     // of no task
  uint64_t slack_bytes;         // free in the allocator and in memory
  uint64_t own_bytes;           // mapped for the library's own books
  uint64_t resident_bytes;      // what is in memory and no file's, as the kernel says now
  uint64_t memory_bytes;        // --memory; UINT64_MAX: no limit; 0: not looked up so far
  uint64_t execution_bytes;     // of it, granted to tasks
  uint64_t storage_bytes;       // of it, cached blocks
  uint64_t unmanaged_bytes;     // of it, owned by no task, or slack
  uint64_t tasks_begun;         // so far
  uint64_t refusals;            // of all tasks
} taskmem_process_status;

// Reads /proc once: some 10 us.
TASKMEM_API int taskmem_process_info(taskmem_process_status* status);

// Asks the spill hooks of a live task to free `bytes`, on this thread and taskmem's, until so much
// less is charged or nobody frees any more. `freed`, where not NULL, receives by how much less it
// is. Not inside a hook: there nothing is freed. ENOENT, EINVAL: of 0 bytes.
TASKMEM_API int taskmem_task_spill(uint64_t id, uint64_t bytes,
                                   uint64_t* freed TASKMEM_DEFAULT(NULL));

// Changes a live task's quota. A quota below what the task holds refuses
// further growth and takes nothing away. TASKMEM_NO_QUOTA lifts it.
TASKMEM_API int taskmem_task_set_quota(uint64_t id, uint64_t bytes);

// The task that owns the block at `address`, which may point anywhere into it:
// TASKMEM_UNTRACKED for memory no task owns, and for what a task left behind that
// ended long ago; TASKMEM_STORAGE for what was allocated attached to it. Of a mapping of the
// program's, who is or would be charged for it. ENOENT where neither is. In a page that is a
// task's own, what is free is the task's, too.
TASKMEM_API int taskmem_owner_of(const void* address, uint64_t* id);

// Looks now at what is charged by residency (MAP_NORESERVE, shared and managed memory), which
// else is done at --residency-interval, and shows all mappings and thread stacks in the stats
// segment.
TASKMEM_API int taskmem_sample_residency(void);

// Writes to the file `path` who holds each resident byte of this process: the JSON of
// `taskmem audit --json`, whole or not at all. Runs the command `taskmem` that lies beside the
// library or is installed with it, or that TASKMEM_COMMAND names, and returns when it has ended;
// other threads go on. What it cannot do it says in one line on standard error. ENOENT: no such
// command, EINVAL: no path, EIO: the audit failed, EAGAIN or ENOMEM: no process could be made.
// Children of the process that it waits for itself are not touched, nor SIGCHLD. Where Yama's
// ptrace_scope is 1, what PR_SET_PTRACER was set to is lost.
TASKMEM_API int taskmem_audit(const char* path);

// What this process is called in tables and JSON, beside its program: TASKMEM_LABEL at first. Cut
// at 63 bytes, copied. EINVAL: NULL. EAGAIN: another thread sets it right now.
TASKMEM_API int taskmem_set_label(const char* label);

// A range that the program mapped. Neighbours that look alike are one range.
typedef struct taskmem_mapping {
  uint64_t start;
  uint64_t end;         // beyond the last byte
  uint64_t task;        // who is or would be charged; TASKMEM_UNTRACKED: no task
  uint32_t kind;        // 0 private anonymous, 1 shared anonymous or memfd, 2 private of a file,
                        // 3 shared of a file, 4 brk, 5 System V
  uint32_t charged_by;  // 0 nothing: never writable so far, 1 length, 2 residency, 3 nothing:
                        // a file's or another process's
  uint32_t protection;  // PROT_READ, PROT_WRITE, PROT_EXEC
  uint32_t reserved;
  const char* library;  // that mapped it, as "jemalloc in _duckdb.so"; never freed
} taskmem_mapping;

// The first range that ends above `address`. ENOENT: there is none.
TASKMEM_API int taskmem_next_mapping(const void* address, taskmem_mapping* mapping);

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

// Spill hooks: a consumer is something that holds memory of a task and can give it back,
// a cache or a sorter's buffer. Where the task finds too little, its consumers are asked
// before the allocation returns: the smallest that is large enough, else the largest, again
// as long as that helps, and the consumer the memory is for last.
typedef uint64_t taskmem_consumer;  // never used again; 0 is none

// Frees about `bytes_needed` by free(), munmap() or writing to disk and freeing, and returns
// how much that was. `trigger`: the consumer that needs the memory (taskmem_thread_consumer),
// 0 where that is not known. What counts is by how much the task holds less afterwards, not
// what is returned; 0 freed: not asked again for this allocation.
//
// It may allocate, from a reserve that is never refused, but should not need much; free,
// attach, register, report, unregister itself and others. An exception ends in taskmem. It
// must not longjmp out. Where it runs:
//
//   TASKMEM_ALLOCATING_THREAD  inside an allocation (malloc, new) of some thread of the task.
//     A lock it takes must not be one that a thread holds while it allocates: use trylock and
//     return 0. Compilers believe that malloc reads and writes nothing of the program's: what
//     the hook looks at is volatile or atomic, or an atomic_signal_fence(memory_order_seq_cst)
//     stands before and after the allocation.
//   TASKMEM_RECLAIMER_THREAD   on a thread of taskmem's, while the one that needs the memory
//     waits, for at most --spill-timeout: there a lock costs time, not a deadlock. Its stack has
//     1 MiB.
//
// One consumer has one call at a time; those of different consumers may run at once.
typedef uint64_t (*taskmem_spill_fn)(void* context, uint64_t bytes_needed,
                                     taskmem_consumer trigger);

// For consumers: the task of the calling thread.
#define TASKMEM_CURRENT_TASK (UINT64_MAX - 8)

enum { TASKMEM_OFF_HEAP = 0, TASKMEM_ON_HEAP = 1 };
enum { TASKMEM_ALLOCATING_THREAD = 0, TASKMEM_RECLAIMER_THREAD = 1 };

typedef struct taskmem_consumer_options {
  size_t size;       // sizeof(taskmem_consumer_options)
  const char* name;  // for messages, cut at 47 bytes, copied; may be NULL
  taskmem_spill_fn spill;
  void* context;
  uint64_t used_bytes;  // until the first report
  int mode;             // TASKMEM_OFF_HEAP: memory of malloc and mmap
  int run_on;           // TASKMEM_ALLOCATING_THREAD or TASKMEM_RECLAIMER_THREAD
} taskmem_consumer_options;

// Registers a consumer of live task `task`, or of TASKMEM_CURRENT_TASK. The task's end
// unregisters it; a call that is in flight then goes on. ENOENT: no such task.
TASKMEM_API int taskmem_consumer_register(uint64_t task, const taskmem_consumer_options* options,
                                          taskmem_consumer* consumer);

// The hook is not called any more, and no call is in flight: waits for one that is. Inside the
// hook itself it returns at once, and the hook is not called again. ENOENT: there is no such
// consumer (any more), and no call is in flight. EDEADLK: called inside another hook, for which
// the one in flight waits here: it is unregistered, and over some time after this hook.
TASKMEM_API int taskmem_consumer_unregister(taskmem_consumer consumer);

// How much the consumer could give back. One that uses 0 is not asked. Costs nanoseconds,
// takes no lock, may be called anywhere. ENOENT.
TASKMEM_API int taskmem_consumer_report(taskmem_consumer consumer, uint64_t used_bytes);

// What this thread allocates from now on is for that consumer (0: for none): it is told to
// hooks as the trigger, and asked last. ENOENT: no such consumer.
TASKMEM_API int taskmem_thread_consumer(taskmem_consumer consumer,
                                        taskmem_consumer* previous TASKMEM_DEFAULT(NULL));

// What a library of --plugin must define. Called once, before main, on its thread; not 0: it
// cannot work here, and the program goes on without it.
int taskmem_plugin_init(void);

// What a request was refused for, as it stood then. Grows at its end.
typedef struct taskmem_refusal {
  size_t size;  // sizeof(taskmem_refusal) as the library knows it
  uint64_t task;
  uint64_t request_bytes;
  uint64_t charged_bytes;  // what the task holds
  uint64_t quota_bytes;    // TASKMEM_NO_QUOTA: --memory is used up
  // A line without its end: who, how much, what was tried, and, where allocations are sampled
  // (TASKMEM_SITES), the up to three pieces of code that hold most of the task: of the first 20
  // refusals, and of 10 in a second.
  const char* text;
} taskmem_refusal;

// Called for each request that is refused, on the thread that made it, before malloc returns NULL.
// With no lock of taskmem's held; it may do what a spill hook may: allocate, from the reserve that
// is never refused, free, attach and detach (the thread works for its task again afterwards). What
// it points to ends with the call. An exception ends in taskmem; it must not longjmp out.
typedef void (*taskmem_refusal_fn)(void* context, const taskmem_refusal* refusal);

// From now on `function` is told of refusals, of all tasks, in place of the one before; NULL:
// nobody. One that is being called goes on. ENOSPC: 64 different ones have been named.
TASKMEM_API int taskmem_on_refusal(taskmem_refusal_fn function, void* context);

// Cached blocks: memory with a name that outlives the task that made it, in the storage
// part of --memory. Where tasks or other blocks need the room, the least recently used that
// nobody has pinned leave memory: to --spill-dir, if their level says so and there is one;
// else they are gone. Names are any text of 1 to 127 bytes; blocks named rdd_<n>_<m> are
// not evicted for others of the same n.
//
// Callbacks run on the thread that makes the call, or on any that needs memory, with no
// lock held. They may allocate, free, attach and use blocks, but wait for nobody: what
// would wait is EBUSY there. They must return: no exception, no longjmp, no thread exit.

// Where a block may be.
#define TASKMEM_MEMORY_AND_DISK 0  // without --spill-dir the same as MEMORY_ONLY
#define TASKMEM_MEMORY_ONLY 1
#define TASKMEM_DISK_ONLY 2

// Gives bytes to a serializer's sink. 0; else the serializer returns what this returned.
typedef int (*taskmem_block_write)(void* sink, const void* bytes, uint64_t count);

// Exactly one of `data`, `supply` and `value`.
typedef struct taskmem_block_options {
  size_t size;       // sizeof(taskmem_block_options): lets the struct grow
  uint32_t level;    // TASKMEM_MEMORY_AND_DISK, ..
  uint64_t bytes;    // of the block; of a value: what it takes up in memory
  const void* data;  // copied
  // Writes the bytes to `to`; called once there is room for them. 0, or an errno value that
  // taskmem_block_put returns.
  int (*supply)(void* context, void* to, uint64_t bytes);
  // A pointer that is kept as it is, and belongs to the store once the put has succeeded.
  void* value;
  // Ends the value: once, when it leaves memory; never where the put has failed. May be NULL.
  void (*destroy)(void* context, void* value, uint64_t bytes);
  // Writes the value, so that it can go to disk and come back as bytes. 0, or an errno value:
  // it stays in memory then. NULL: it never goes to disk; where it must leave memory it is
  // destroyed, whatever its level.
  int (*serialize)(void* context, const void* value, taskmem_block_write write, void* sink);
  void* context;  // of the callbacks
} taskmem_block_options;

// Stores a block. Where it goes to disk at once, what `supply` or `serialize` writes is in
// memory meanwhile, beyond --memory if need be. EEXIST: nothing is done. ENOMEM: memory has
// no room, and the level no disk. ENOSPC, EIO: nor could it go to disk. EINVAL:
// also DISK_ONLY for a value without `serialize`.
// On an error nothing is stored, and a value is the caller's as before.
TASKMEM_API int taskmem_block_put(const char* id, const taskmem_block_options* options);

#define TASKMEM_BLOCK_BYTES 0
#define TASKMEM_BLOCK_VALUE 1

// A pinned block. Read it, and leave what it points to as it is.
typedef struct taskmem_block {
  const void* data;  // the bytes, aligned to 16; or the value
  uint64_t bytes;    // as they were put; of a value that was on disk, as it was written
  uint32_t kind;     // TASKMEM_BLOCK_BYTES or _VALUE: a value that was on disk is bytes
  uint32_t pin;      // taskmem's own, as the next
  uint64_t serial;
} taskmem_block;

// Pins a block: it stays where it is until it is released, or the task that this thread works
// for ends. By a thread of no task it is pinned until it is released. May be done several
// times. Reads the block from disk where it is there alone, and keeps it in memory from then
// on if its level says so and there is room. EIO: it was lost on disk, and is there no more
// (ENOENT from now on), or cannot be read now. ENOMEM: no memory to read it into.
TASKMEM_API int taskmem_block_get(const char* id, taskmem_block* block);

// Gives a pin up, on any thread, and clears *block. EINVAL: it is none, or is given up already.
TASKMEM_API int taskmem_block_release(taskmem_block* block);

// Removes a block from memory and disk. EBUSY: it is pinned.
TASKMEM_API int taskmem_block_remove(const char* id);

// 0 where there is such a block, in memory or on disk.
TASKMEM_API int taskmem_block_contains(const char* id);

typedef struct taskmem_block_status {
  uint32_t level;  // that it was put with
  uint32_t pins;
  uint64_t memory_bytes;  // in memory; 0: it is not there
  uint64_t disk_bytes;    // on disk, before compression; 0: it is not there
  uint32_t in_memory;     // 1 or 0
  uint32_t on_disk;
} taskmem_block_status;

TASKMEM_API int taskmem_block_info(const char* id, taskmem_block_status* status);

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
#define taskmem_thread_task(...) TASKMEM_CALL(taskmem_thread_task, __VA_ARGS__)
#define taskmem_task_usage(...) TASKMEM_CALL(taskmem_task_usage, __VA_ARGS__)
#define taskmem_task_info(...) TASKMEM_CALL(taskmem_task_info, __VA_ARGS__)
#define taskmem_tasks_next(...) TASKMEM_CALL(taskmem_tasks_next, __VA_ARGS__)
#define taskmem_process_info(...) TASKMEM_CALL(taskmem_process_info, __VA_ARGS__)
#define taskmem_task_spill(...) TASKMEM_CALL(taskmem_task_spill, __VA_ARGS__)
#define taskmem_task_set_quota(...) TASKMEM_CALL(taskmem_task_set_quota, __VA_ARGS__)
#define taskmem_owner_of(...) TASKMEM_CALL(taskmem_owner_of, __VA_ARGS__)
#define taskmem_sample_residency() TASKMEM_CALL(taskmem_sample_residency)
#define taskmem_audit(...) TASKMEM_CALL(taskmem_audit, __VA_ARGS__)
#define taskmem_set_label(...) TASKMEM_CALL(taskmem_set_label, __VA_ARGS__)
#define taskmem_next_mapping(...) TASKMEM_CALL(taskmem_next_mapping, __VA_ARGS__)
#define taskmem_page_allocate(...) TASKMEM_CALL(taskmem_page_allocate, __VA_ARGS__)
#define taskmem_page_free(...) TASKMEM_CALL(taskmem_page_free, __VA_ARGS__)
#define taskmem_encode(...) TASKMEM_CALL(taskmem_encode, __VA_ARGS__)
#define taskmem_decode(...) TASKMEM_CALL(taskmem_decode, __VA_ARGS__)
#define taskmem_consumer_register(...) TASKMEM_CALL(taskmem_consumer_register, __VA_ARGS__)
#define taskmem_consumer_unregister(...) TASKMEM_CALL(taskmem_consumer_unregister, __VA_ARGS__)
#define taskmem_consumer_report(...) TASKMEM_CALL(taskmem_consumer_report, __VA_ARGS__)
#define taskmem_thread_consumer(...) TASKMEM_CALL(taskmem_thread_consumer, __VA_ARGS__)
#define taskmem_on_refusal(...) TASKMEM_CALL(taskmem_on_refusal, __VA_ARGS__)
#define taskmem_block_put(...) TASKMEM_CALL(taskmem_block_put, __VA_ARGS__)
#define taskmem_block_get(...) TASKMEM_CALL(taskmem_block_get, __VA_ARGS__)
#define taskmem_block_release(...) TASKMEM_CALL(taskmem_block_release, __VA_ARGS__)
#define taskmem_block_remove(...) TASKMEM_CALL(taskmem_block_remove, __VA_ARGS__)
#define taskmem_block_contains(...) TASKMEM_CALL(taskmem_block_contains, __VA_ARGS__)
#define taskmem_block_info(...) TASKMEM_CALL(taskmem_block_info, __VA_ARGS__)
#define taskmem_walk_heaps(...) TASKMEM_CALL(taskmem_walk_heaps, __VA_ARGS__)
#define taskmem_version() ((taskmem_version) ? (taskmem_version)() : NULL)
#endif

#endif  // TASKMEM_SHIM_TASKMEM_H_
