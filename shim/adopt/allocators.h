// Which allocators the process has beside this one, as readers in other processes see it
// (accounting/audit/allocators_table.h).
#ifndef TASKMEM_SHIM_ADOPT_ALLOCATORS_H_
#define TASKMEM_SHIM_ADOPT_ALLOCATORS_H_

#include <cstdint>

#include "accounting/audit/allocators_table.h"

namespace taskmem {

struct AllocatorText {
  const char* allocator;  // "jemalloc"
  const char* library;    // the file's name, without its folder
  const char* functions;  // "duckdb_je_*", or ""
  const char* how;        // how it was adopted, or why not
};

inline constexpr uint32_t kNoAllocatorRow = UINT32_MAX;

// Who is charged for what keeps its own memory: the task of the process, or, where there is none,
// no task, which the rows then say. Called by the constructor.
void NoteOwnerOfKept(bool is_process_task);

// Adds a row, or changes the one with the same allocator, library and functions, or without
// functions: what was said before its names had been looked at. Returns its
// index; kNoAllocatorRow: there are too many, or there are no books. Thread-safe, without locks;
// of one allocator by one thread at a time.
uint32_t ListAllocator(const AllocatorText& text, AdoptionState state);

// Adds to what the rows of the library say for whom the threads of its pool work: "the query's
// task". As ListAllocator; of one library by one thread at a time.
void NotePoolOf(const char* library, const char* for_whom);

// Whether a library has a row.
bool HasAllocators(const char* library);

// Whether one of them is that of `allocator`, as of AllocatorText.
bool HasAllocator(const char* library, const char* allocator);

// Whether it is one with an allocator of its own for tasks: adopted or not, but no managed heap.
bool BringsAllocator(const char* library);

// CPython was told to use malloc, by the user or this library: as of the program's start. Then what
// it maps is its own stacks of frames.
void NotePythonMalloc();
bool HasPythonMalloc();

// What an adopted one has handed out has changed by so much. Ignored without a row.
void AddAdoptedBytes(uint32_t row, int64_t bytes);
// Of what has been posted so far.
int64_t PostedAdoptedBytes(uint32_t row);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ADOPT_ALLOCATORS_H_
