// Java hands a thread's whole name to the JVM, which gives the system 15 bytes of it.
//
// libjava.so calls this function of libjvm.so through its import table, so the library stands
// between them. The JVM names the calling thread only: by pthread_setname_np, inside the call.
#include <atomic>
#include <cstdint>

#include "shim/base/loaded_symbols.h"
#include "shim/base/next_symbol.h"
#include "shim/tasks/thread_tasks.h"

namespace taskmem {
namespace {

// A JNIEnv begins with the address of a table of functions, whose order the JNI specification
// fixes.
constexpr int kGetStringLength = 164;
constexpr int kGetStringUTFRegion = 221;
using GetStringLength = int (*)(void* environment, void* string);
using GetStringUtfRegion = void (*)(void* environment, void* string, int start, int length,
                                    char* text);
using SetNativeThreadName = void (*)(void* environment, void* thread, void* name);

void** FunctionsOf(void* environment) { return *static_cast<void***>(environment); }

// The JVM may be loaded where the loader does not look for this library's next.
SetNativeThreadName FindNext(void* environment) {
  constexpr char kName[] = "JVM_SetNativeThreadName";
  void* const next = NextSymbol(kName);
  if (next != nullptr) return reinterpret_cast<SetNativeThreadName>(next);
  const LoadedSymbols jvm = LoadedSymbols::Around(FunctionsOf(environment)[kGetStringLength]);
  return reinterpret_cast<SetNativeThreadName>(jvm.Find(kName).code);
}

// In the JVM's UTF-8, of at most three bytes for each of its characters.
constexpr int kMostCharacters = 256;
using Text = char[kMostCharacters * 3 + 1];

void Read(void* environment, void* name, Text* text) {
  void** const functions = FunctionsOf(environment);
  const int length =
      reinterpret_cast<GetStringLength>(functions[kGetStringLength])(environment, name);
  reinterpret_cast<GetStringUtfRegion>(functions[kGetStringUTFRegion])(
      environment, name, 0, length < kMostCharacters ? length : kMostCharacters, *text);
}

}  // namespace
}  // namespace taskmem

using namespace taskmem;

extern "C" __attribute__((visibility("default"))) void JVM_SetNativeThreadName(void* environment,
                                                                               void* thread,
                                                                               void* name) {
  static std::atomic<SetNativeThreadName> cache{nullptr};
  SetNativeThreadName next = cache.load(std::memory_order_acquire);
  if (next == nullptr) {
    next = FindNext(environment);
    cache.store(next, std::memory_order_release);
  }
  if (next == nullptr) return;
  if (name == nullptr || !LooksAtNames()) return next(environment, thread, name);
  Text text = {};
  Read(environment, name, &text);
  const WholeNameScope whole_name(text);
  next(environment, thread, name);
}
