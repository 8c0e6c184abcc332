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
using Method = void*;  // a jmethodID

// A jvalue that is a long.
union Value {
  int64_t number;
};

// JavaVMAttachArgs.
struct AttachArguments {
  int version;
  const char* name;
  Object group;
};

inline constexpr int kVersion1_8 = 0x00010008;
inline constexpr int kOk = 0;
inline constexpr int kError = -1;
inline constexpr int kDetached = -2;

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

inline Machine* MachineOf(Environment* environment) {
  Machine* machine = nullptr;
  Of<int (*)(void*, void**)>(environment, 219)(environment, &machine);
  return machine;
}

// The thread does not keep the JVM from ending.
inline int AttachAsDaemon(Machine* machine, Environment** environment, AttachArguments* arguments) {
  return Of<int (*)(void*, void**, void*)>(machine, 7)(machine, environment, arguments);
}

inline void Detach(Machine* machine) { Of<int (*)(void*)>(machine, 5)(machine); }

inline Object FindClass(Environment* environment, const char* name) {
  return Of<Object (*)(void*, const char*)>(environment, 6)(environment, name);
}

// Stays until the process ends.
inline Object NewGlobalReference(Environment* environment, Object object) {
  return Of<Object (*)(void*, Object)>(environment, 21)(environment, object);
}

// nullptr where there is none; an exception waits then.
inline Method StaticMethod(Environment* environment, Object java_class, const char* name,
                           const char* signature) {
  return Of<Method (*)(void*, Object, const char*, const char*)>(environment, 113)(
      environment, java_class, name, signature);
}

inline int64_t CallStaticLong(Environment* environment, Object java_class, Method method,
                              const Value* arguments) {
  return Of<int64_t (*)(void*, Object, Method, const Value*)>(environment, 134)(
      environment, java_class, method, arguments);
}

// True: an exception had been thrown, and is forgotten.
inline bool ClearException(Environment* environment) {
  if (Of<unsigned char (*)(void*)>(environment, 228)(environment) == 0) return false;
  Of<void (*)(void*)>(environment, 17)(environment);
  return true;
}

// Names of methods, with a blank behind each.
struct MethodNames {
  char text[1024];
  size_t used;
};

// Those that the class declares: one of another version has fewer, or others. `names` gets all.
inline void RegisterNatives(Environment* environment, Object java_class,
                            const NativeMethod* methods, int count, MethodNames* names) {
  for (int i = 0; i < count; ++i) {
    const int result = Of<int (*)(void*, Object, const NativeMethod*, int)>(environment, 215)(
        environment, java_class, &methods[i], 1);
    if (result != kOk) ClearException(environment);
    const size_t length = __builtin_strlen(methods[i].name);
    if (length + 2 > sizeof(names->text) - names->used) continue;
    __builtin_memcpy(names->text + names->used, methods[i].name, length);
    names->used += length;
    names->text[names->used++] = ' ';
  }
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

inline void GetLongs(Environment* environment, Object array, int count, int64_t* values) {
  Of<void (*)(void*, Object, int, int, int64_t*)>(environment, 204)(environment, array, 0, count,
                                                                    values);
}

template <typename Function>
NativeMethod MethodOf(const char* name, const char* signature, Function* function) {
  return {name, signature, reinterpret_cast<void*>(function)};
}

}  // namespace taskmem::jni

#endif  // TASKMEM_SHIM_API_JNI_TABLE_H_
