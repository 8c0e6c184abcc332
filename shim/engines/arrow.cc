// Arrow: what its thread pools do is a closure that was given to ThreadPool::SpawnReal, a virtual
// function. The word of the class's table is changed, and the closure wrapped with the task of the
// thread that gives it.
//
// The function's name fixes how its arguments are passed: the closure, FnOnce<void()>, by the
// address of the only word it has, the pointer to an object that it owns, of a class with the
// virtual functions ~Impl (two) and invoke. Each object's table is looked at before it is trusted.
#include <dlfcn.h>

#include <atomic>
#include <cstring>

#include "shim/base/loaded_symbols.h"
#include "shim/books/own_memory.h"
#include "shim/code/word_patch.h"
#include "shim/engines/adapter.h"
#include "shim/tasks/pool_threads.h"

extern "C" {
__attribute__((visibility("hidden"))) void* g_taskmem_arrow_spawn = nullptr;
__attribute__((visibility("hidden"))) void TaskmemArrowSpawn();
__attribute__((visibility("hidden"))) void TaskmemWrapArrowClosure(void** closure);
}

namespace taskmem {
namespace {

constexpr char kSpawn[] =
    "_ZN5arrow8internal10ThreadPool9SpawnRealENS0_9TaskHintsENS0_6FnOnceIFvvEEENS_9StopTokenEONS3_"
    "IFvRKNS_6StatusEEEE";
constexpr char kPoolsTable[] = "_ZTVN5arrow8internal10ThreadPoolE";

struct Closure;
struct ClosureTable {
  void (*destroy)(Closure* closure);
  void (*destroy_and_free)(Closure* closure);
  void (*invoke)(Closure* closure);
};
struct Closure {
  const ClosureTable* table;
};

// As a class of Arrow's, of which the pool knows the table only.
struct WrappedClosure {
  Closure head;
  Closure* inner;
  CurrentTask task;
};

void Destroy(Closure* closure) {
  Closure* const inner = reinterpret_cast<WrappedClosure*>(closure)->inner;
  inner->table->destroy_and_free(inner);
}

void DestroyAndFree(Closure* closure) {
  Destroy(closure);
  OwnFree(closure, sizeof(WrappedClosure));
}

void Invoke(Closure* closure) {
  const auto* const wrapped = reinterpret_cast<WrappedClosure*>(closure);
  const CurrentTask before = EnterWork(wrapped->task);
  wrapped->inner->table->invoke(wrapped->inner);
  LeaveWork(before);
}

constexpr ClosureTable kWrappedTable = {Destroy, DestroyAndFree, Invoke};

bool IsCode(const void* address) {
  dl_find_object object;
  return _dl_find_object(const_cast<void*>(address), &object) == 0;
}

// Whether the object has a table of that kind. Those that were looked at are remembered.
bool IsClosure(const Closure* closure) {
  if (closure == nullptr || closure->table == nullptr) return false;
  static std::atomic<const ClosureTable*> known[64];
  const auto number = reinterpret_cast<uintptr_t>(closure->table) >> 4;
  std::atomic<const ClosureTable*>& place = known[number % 64];
  if (place.load(std::memory_order_relaxed) == closure->table) return true;
  const ClosureTable& table = *closure->table;
  if (!IsCode(&table) || !IsCode(reinterpret_cast<const void*>(table.destroy)) ||
      !IsCode(reinterpret_cast<const void*>(table.destroy_and_free)) ||
      !IsCode(reinterpret_cast<const void*>(table.invoke))) {
    return false;
  }
  place.store(&table, std::memory_order_relaxed);
  return true;
}

bool IsFor(const char* base) { return strncmp(base, "libarrow.so", 11) == 0; }

// The word of the class's table that is the function's address. nullptr: it has none, or several.
void** FindInTable(const LoadedSymbols& symbols, const void* function) {
  const LoadedSymbols::Function table = symbols.Find(kPoolsTable, STT_OBJECT);
  if (table.code == nullptr || function == nullptr) return nullptr;
  constexpr size_t kMostWords = 64;
  void** found = nullptr;
  for (size_t i = 0; i < table.bytes / sizeof(void*) && i < kMostWords; ++i) {
    void** const word = reinterpret_cast<void**>(table.code) + i;
    if (*word != function) continue;
    if (found != nullptr) return nullptr;
    found = word;
  }
  return found;
}

const char* Attach(const link_map& library, WordChange* mark) {
  const LoadedSymbols symbols = LoadedSymbols::Around(library.l_ld);
  void* const spawn = symbols.Find(kSpawn).code;
  if (spawn == nullptr) return "it has not the functions expected";
  *mark = {FindInTable(symbols, spawn), reinterpret_cast<void*>(TaskmemArrowSpawn)};
  if (mark->place == nullptr) return "its table is not as expected";
  g_taskmem_arrow_spawn = spawn;
  return WriteWords(mark, 1) ? nullptr : "its table cannot be written to";
}

}  // namespace

const EngineAdapter kArrowAdapter = {"Arrow", IsFor, Attach};

}  // namespace taskmem

// Without memory, or a task, the closure stays as it is.
void TaskmemWrapArrowClosure(void** closure) {
  using namespace taskmem;
  const CurrentTask task = TaskOfWork();
  auto* const inner = static_cast<Closure*>(*closure);
  if (!HasWork(task) || !IsClosure(inner)) return;
  auto* const wrapped = static_cast<WrappedClosure*>(OwnAllocate(sizeof(WrappedClosure)));
  if (wrapped == nullptr) return;
  *wrapped = {{&kWrappedTable}, inner, task};
  *closure = wrapped;
}

// The arguments, of which some lie on the stack, go on as they came: where the result goes, the
// pool, the closure, the stop token and the callback in registers.
__asm__(R"(
  .pushsection .text.TaskmemArrowSpawn, "ax", @progbits
  .globl TaskmemArrowSpawn
  .hidden TaskmemArrowSpawn
  .type TaskmemArrowSpawn, @function
TaskmemArrowSpawn:
  .cfi_startproc
  endbr64
  pushq %rdi
  .cfi_adjust_cfa_offset 8
  pushq %rsi
  .cfi_adjust_cfa_offset 8
  pushq %rdx
  .cfi_adjust_cfa_offset 8
  pushq %rcx
  .cfi_adjust_cfa_offset 8
  pushq %r8
  .cfi_adjust_cfa_offset 8
  pushq %r9
  .cfi_adjust_cfa_offset 8
  subq $8, %rsp
  .cfi_adjust_cfa_offset 8
  movq %rdx, %rdi
  call TaskmemWrapArrowClosure
  addq $8, %rsp
  .cfi_adjust_cfa_offset -8
  popq %r9
  .cfi_adjust_cfa_offset -8
  popq %r8
  .cfi_adjust_cfa_offset -8
  popq %rcx
  .cfi_adjust_cfa_offset -8
  popq %rdx
  .cfi_adjust_cfa_offset -8
  popq %rsi
  .cfi_adjust_cfa_offset -8
  popq %rdi
  .cfi_adjust_cfa_offset -8
  jmp *g_taskmem_arrow_spawn(%rip)
  .cfi_endproc
  .size TaskmemArrowSpawn, .-TaskmemArrowSpawn
  .popsection
)");
