#include "shim/api/operator_new.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "shim/base/message.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"

namespace taskmem {
namespace {

using Handler = void (*)();

// A function of the C++ runtime: the program's; else that of the library whose code `caller` is,
// which cannot catch what another throws; else the libstdc++ that somebody has loaded.
void* FindInRuntime(const char* symbol, void* caller) {
  if (void* found = dlsym(RTLD_DEFAULT, symbol)) return found;
  dl_find_object object;
  if (_dl_find_object(caller, &object) == 0) {
    // A library's link_map is its handle.
    if (void* found = dlsym(object.dlfo_link_map, symbol)) return found;
  }
  void* runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  return runtime != nullptr ? dlsym(runtime, symbol) : nullptr;
}

Handler CurrentHandler(void* caller) {
  auto* get = reinterpret_cast<Handler (*)()>(FindInRuntime("_ZSt15get_new_handlerv", caller));
  return get != nullptr ? get() : nullptr;
}

[[noreturn]] void ThrowBadAlloc(size_t size, void* caller) {
  auto* raise = reinterpret_cast<void (*)()>(FindInRuntime("_ZSt17__throw_bad_allocv", caller));
  if (raise != nullptr) raise();
  Message("operator new of %zu bytes failed, and no C++ runtime is loaded to throw", size);
  abort();
}

// The runtime catches what a handler throws, and calls this library's throwing operator for
// that: the first attempt, which the nothrow operator has made, is not to be made again.
__thread bool t_has_failed __attribute__((tls_model("initial-exec"))) = false;

// After an attempt that failed. Each call of the handler is followed by another, until one
// succeeds or there is no handler. Handlers may throw through.
template <typename Allocate>
void* AskHandler(void* caller, Allocate allocate) {
  for (;;) {
    const Handler handler = CurrentHandler(caller);
    if (handler == nullptr) return nullptr;
    handler();
    if (void* block = allocate()) return block;
  }
}

// The runtime's own nothrow operators call the throwing ones and catch what comes
// out, which nothing here can: this library has no exceptions. Asked for in the
// runtime itself, as the program finds ours under these names.
template <typename... Arguments>
void* AskRuntime(void* caller, const char* symbol, Arguments... arguments) {
  if (CurrentHandler(caller) == nullptr) return nullptr;
  void* runtime = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (runtime == nullptr) return nullptr;
  using Operator = void* (*)(Arguments..., const void*);
  auto* allocate = reinterpret_cast<Operator>(dlsym(runtime, symbol));
  if (allocate == nullptr) return nullptr;
  const char nothrow = 0;
  t_has_failed = true;
  void* block = allocate(arguments..., &nothrow);
  t_has_failed = false;
  return block;
}

// Whether the first attempt of this call has failed already.
bool HasFailed() {
  const bool has_failed = t_has_failed;
  t_has_failed = false;
  return has_failed;
}

}  // namespace

void* NewNothrow(size_t size) {
  void* block = TaskmemMalloc(size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return AskRuntime(__builtin_return_address(0), "_ZnwmRKSt9nothrow_t", size);
}

void* NewAlignedNothrow(size_t size, size_t alignment) {
  void* block = TaskmemMemalign(alignment, size);
  if (__builtin_expect(block != nullptr, 1)) return block;
  return AskRuntime(__builtin_return_address(0), "_ZnwmSt11align_val_tRKSt9nothrow_t", size,
                    alignment);
}

void* NewAligned(size_t size, size_t alignment) {
  const auto allocate = [=] { return TaskmemMemalign(alignment, size); };
  void* block = HasFailed() ? nullptr : allocate();
  if (block == nullptr) block = AskHandler(__builtin_return_address(0), allocate);
  if (block == nullptr) ThrowBadAlloc(size, __builtin_return_address(0));
  return block;
}

}  // namespace taskmem

extern "C" void* TaskmemNewSlow(size_t size) {
  const auto allocate = [size] { return TaskmemMalloc(size); };
  void* block = taskmem::HasFailed() ? nullptr : taskmem::MallocSlow(size);
  if (__builtin_expect(block == nullptr, 0))
    block = taskmem::AskHandler(__builtin_return_address(0), allocate);
  if (__builtin_expect(block == nullptr, 0))
    taskmem::ThrowBadAlloc(size, __builtin_return_address(0));
  return block;
}
