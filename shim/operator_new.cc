#include "shim/operator_new.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "shim/heap.h"
#include "shim/message.h"

namespace taskmem {
namespace {

using Handler = void (*)();

// A function of the program's libstdc++, wherever it was loaded from.
void* FindInRuntime(const char* symbol) {
  if (void* found = dlsym(RTLD_DEFAULT, symbol)) return found;
  void* runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  return runtime != nullptr ? dlsym(runtime, symbol) : nullptr;
}

Handler CurrentHandler() {
  auto* get = reinterpret_cast<Handler (*)()>(FindInRuntime("_ZSt15get_new_handlerv"));
  return get != nullptr ? get() : nullptr;
}

[[noreturn]] void ThrowBadAlloc(size_t size) {
  auto* raise = reinterpret_cast<void (*)()>(FindInRuntime("_ZSt17__throw_bad_allocv"));
  if (raise != nullptr) raise();
  Message("operator new of %zu bytes failed, and no C++ runtime is loaded to throw", size);
  abort();
}

// Until `allocate` succeeds or there is no handler. Handlers may throw through.
template <typename Allocate>
void* TryWithHandler(Allocate allocate) {
  for (;;) {
    if (void* block = allocate()) return block;
    const Handler handler = CurrentHandler();
    if (handler == nullptr) return nullptr;
    handler();
  }
}

// The runtime's own nothrow operators call the throwing ones and catch what comes
// out, which nothing here can: this library has no exceptions. Asked for in the
// runtime itself, as the program finds ours under these names.
template <typename... Arguments>
void* AskRuntime(const char* symbol, Arguments... arguments) {
  void* runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (runtime == nullptr) return nullptr;
  using Operator = void* (*)(Arguments..., const void*);
  auto* allocate = reinterpret_cast<Operator>(dlsym(runtime, symbol));
  const char nothrow = 0;
  return allocate != nullptr ? allocate(arguments..., &nothrow) : nullptr;
}

}  // namespace

void* NewNothrow(size_t size) {
  void* block = TaskmemMalloc(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return AskRuntime("_ZnwmRKSt9nothrow_t", size);
}

void* NewAlignedNothrow(size_t size, size_t alignment) {
  void* block = TaskmemMemalign(alignment, size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return AskRuntime("_ZnwmSt11align_val_tRKSt9nothrow_t", size, alignment);
}

void* NewAligned(size_t size, size_t alignment) {
  void* block = TryWithHandler([=] { return TaskmemMemalign(alignment, size); });
  if (block == nullptr) ThrowBadAlloc(size);
  return block;
}

}  // namespace taskmem

extern "C" void* TaskmemNewFailed(size_t size) {
  void* block = taskmem::TryWithHandler([size] { return TaskmemMalloc(size); });
  if (block == nullptr) taskmem::ThrowBadAlloc(size);
  return block;
}
