#include "spill/hooks/exception_disposal.h"

#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include <cstdint>

namespace taskmem {
namespace {

// The last byte is 0, or 1 for std::rethrow_exception.
constexpr uint64_t kGnuClass = 0x474e5543432b2b00;    // "GNUCC++"
constexpr uint64_t kClangClass = 0x434c4e47432b2b00;  // "CLNGC++"

bool IsCxx(const _Unwind_Exception& exception) {
  const uint64_t without_kind = exception.exception_class & ~uint64_t{0xff};
  return without_kind == kGnuClass || without_kind == kClangClass;
}

// The library or program that contains the code. nullptr: none does.
const link_map* ModuleOf(void* code) {
  Dl_info info;
  link_map* module = nullptr;
  if (dladdr1(code, &info, reinterpret_cast<void**>(&module), RTLD_DL_LINKMAP) == 0) {
    return nullptr;
  }
  return module;
}

// The C++ runtime that made an exception.
class Runtime {
 public:
  explicit Runtime(void* its_code)
      : module_(ModuleOf(its_code)),
        handle_(module_ != nullptr ? dlopen(module_->l_name, RTLD_LAZY | RTLD_NOLOAD) : nullptr) {}
  ~Runtime() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Its own function of that name, not another runtime's.
  void* Find(const char* name) const {
    void* const found = handle_ != nullptr ? dlsym(handle_, name) : nullptr;
    return found != nullptr && ModuleOf(found) == module_ ? found : nullptr;
  }

 private:
  const link_map* const module_;
  void* const handle_;
};

}  // namespace

void DisposeOfException(_Unwind_Exception* exception) {
  if (exception->exception_cleanup == nullptr) return;
  if (IsCxx(*exception)) {
    const Runtime runtime(reinterpret_cast<void*>(exception->exception_cleanup));
    void* const begin_catch = runtime.Find("__cxa_begin_catch");
    void* const end_catch = runtime.Find("__cxa_end_catch");
    if (begin_catch != nullptr && end_catch != nullptr) {
      reinterpret_cast<void* (*)(void*)>(begin_catch)(exception);
      reinterpret_cast<void (*)()>(end_catch)();
      return;
    }
  }
  exception->exception_cleanup(_URC_FOREIGN_EXCEPTION_CAUGHT, exception);
}

}  // namespace taskmem
