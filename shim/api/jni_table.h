// As much of the Java Native Interface as the library uses, without its headers: a JNIEnv and a
// JavaVM begin with the address of a table of functions, whose order the JNI specification fixes.
#ifndef TASKMEM_SHIM_API_JNI_TABLE_H_
#define TASKMEM_SHIM_API_JNI_TABLE_H_

#include <cstddef>
#include <cstdint>

namespace taskmem::jni {

using Environment = void;  // JNIEnv
using Machine = void;      // JavaVM
using Object = void*;

inline constexpr int kVersion1_8 = 0x00010008;
inline constexpr int kOk = 0;
inline constexpr int kError = -1;

struct NativeMethod {
  const char* name;
  const char* signature;
  void* function;
};

template <typename Function>
Function Of(void* environment_or_machine, int index) {
  return reinterpret_cast<Function>((*static_cast<void***>(environment_or_machine))[index]);
}

inline int GetEnvironment(Machine* machine, Environment** environment, int version) {
  return Of<int (*)(void*, void**, int)>(machine, 6)(machine, environment, version);
}

inline Object FindClass(Environment* environment, const char* name) {
  return Of<Object (*)(void*, const char*)>(environment, 6)(environment, name);
}

inline int RegisterNatives(Environment* environment, Object java_class, const NativeMethod* methods,
                           int count) {
  return Of<int (*)(void*, Object, const NativeMethod*, int)>(environment, 215)(
      environment, java_class, methods, count);
}

// nullptr where the JVM has no memory for it; an exception waits then.
inline Object NewString(Environment* environment, const char* utf8) {
  return Of<Object (*)(void*, const char*)>(environment, 167)(environment, utf8);
}

// At most `most` characters of a text, each of which takes up to three bytes, and a NUL.
inline void ReadString(Environment* environment, Object text, int most, char* to) {
  const int length = Of<int (*)(void*, Object)>(environment, 164)(environment, text);
  Of<void (*)(void*, Object, int, int, char*)>(environment, 221)(environment, text, 0,
                                                                 length < most ? length : most, to);
}

inline int ArrayLength(Environment* environment, Object array) {
  return Of<int (*)(void*, Object)>(environment, 171)(environment, array);
}

inline void SetLongs(Environment* environment, Object array, int count, const int64_t* values) {
  Of<void (*)(void*, Object, int, int, const int64_t*)>(environment, 212)(environment, array, 0,
                                                                          count, values);
}

}  // namespace taskmem::jni

#endif  // TASKMEM_SHIM_API_JNI_TABLE_H_
