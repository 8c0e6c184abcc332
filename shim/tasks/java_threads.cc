// Java hands a thread's whole name to the JVM, which gives the system 15 bytes of it.
//
// libjava.so calls these functions of libjvm.so through its import table, so the library stands
// between them. The JVM names the calling thread only: by pthread_setname_np, inside the call where
// it runs already; else the new thread does so first of all, which the thread that starts it made
// by pthread_create inside the call.
#include <atomic>
#include <cstdint>

#include "shim/base/loaded_symbols.h"
#include "shim/base/next_symbol.h"
#include "shim/tasks/thread_tasks.h"

namespace taskmem {
namespace {

// A JNIEnv begins with the address of a table of functions, whose order the JNI specification
// fixes.
constexpr int kExceptionClear = 17;
constexpr int kDeleteLocalRef = 23;
constexpr int kGetObjectClass = 31;
constexpr int kGetMethodId = 33;
constexpr int kCallObjectMethod = 34;
constexpr int kGetStringLength = 164;
constexpr int kGetStringUTFRegion = 221;
using ExceptionClear = void (*)(void* environment);
using DeleteLocalRef = void (*)(void* environment, void* object);
using GetObjectClass = void* (*)(void* environment, void* object);
using GetMethodId = void* (*)(void* environment, void* of, const char* name, const char* signature);
using CallObjectMethod = void* (*)(void* environment, void* object, void* method, ...);
using GetStringLength = int (*)(void* environment, void* string);
using GetStringUtfRegion = void (*)(void* environment, void* string, int start, int length,
                                    char* text);
using SetNativeThreadName = void (*)(void* environment, void* thread, void* name);
using StartThread = void (*)(void* environment, void* thread);

template <typename Function>
Function FunctionOf(void* environment, int index) {
  return reinterpret_cast<Function>((*static_cast<void***>(environment))[index]);
}

// The JVM may be loaded where the loader does not look for this library's next. Found once: `cache`
// keeps it.
template <typename Function>
Function FindNext(std::atomic<Function>& cache, void* environment, const char* name) {
  Function next = cache.load(std::memory_order_acquire);
  if (next != nullptr) return next;
  next = reinterpret_cast<Function>(NextSymbol(name));
  if (next == nullptr) {
    const LoadedSymbols jvm =
        LoadedSymbols::Around(FunctionOf<const void*>(environment, kGetStringLength));
    next = reinterpret_cast<Function>(jvm.Find(name).code);
  }
  cache.store(next, std::memory_order_release);
  return next;
}

// In the JVM's UTF-8, of at most three bytes for each of its characters.
using Text = char[kWholeNameBytes];
constexpr int kMostCharacters = (kWholeNameBytes - 1) / 3;

void Read(void* environment, void* name, Text* text) {
  const int length = FunctionOf<GetStringLength>(environment, kGetStringLength)(environment, name);
  FunctionOf<GetStringUtfRegion>(environment, kGetStringUTFRegion)(
      environment, name, 0, length < kMostCharacters ? length : kMostCharacters, *text);
}

// Thread.getName(), which is final; false where it fails, as where the stack is too short.
bool ReadNameOf(void* environment, void* thread, Text* text) {
  void* const type = FunctionOf<GetObjectClass>(environment, kGetObjectClass)(environment, thread);
  void* const method = FunctionOf<GetMethodId>(environment, kGetMethodId)(
      environment, type, "getName", "()Ljava/lang/String;");
  void* const name = method == nullptr
                         ? nullptr
                         : FunctionOf<CallObjectMethod>(environment, kCallObjectMethod)(
                               environment, thread, method);
  FunctionOf<ExceptionClear>(environment, kExceptionClear)(environment);
  if (name != nullptr) Read(environment, name, text);
  const auto forget = FunctionOf<DeleteLocalRef>(environment, kDeleteLocalRef);
  forget(environment, name);
  forget(environment, type);
  return name != nullptr;
}

}  // namespace
}  // namespace taskmem

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace taskmem;

EXPORT void JVM_SetNativeThreadName(void* environment, void* thread, void* name) {
  static std::atomic<SetNativeThreadName> cache{nullptr};
  const auto next = FindNext(cache, environment, "JVM_SetNativeThreadName");
  if (next == nullptr) return;
  if (name == nullptr || !LooksAtNames()) return next(environment, thread, name);
  Text text = {};
  Read(environment, name, &text);
  const WholeNameScope whole_name(text);
  next(environment, thread, name);
}

EXPORT void JVM_StartThread(void* environment, void* thread) {
  static std::atomic<StartThread> cache{nullptr};
  const auto next = FindNext(cache, environment, "JVM_StartThread");
  if (next == nullptr) return;
  Text text = {};
  if (!LooksAtNames() || !ReadNameOf(environment, thread, &text)) return next(environment, thread);
  const WholeNameScope whole_name(text);
  next(environment, thread);
}
