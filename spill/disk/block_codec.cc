#include "spill/disk/block_codec.h"

#include <dlfcn.h>

#include <cstdio>

namespace taskmem {
namespace {

class Lz4 final : public BlockCodec {
 public:
  bool Load(char* why, size_t size);

  uint32_t number() const override { return 1; }
  const char* name() const override { return "lz4"; }
  size_t ScratchBytes() const override { return static_cast<size_t>(size_of_state_()); }

  size_t Compress(const char* from, size_t count, char* to, size_t room,
                  void* scratch) const override {
    constexpr int kAcceleration = 1;  // the library's default
    const int written = compress_(scratch, from, to, static_cast<int>(count),
                                  static_cast<int>(room), kAcceleration);
    return written > 0 ? static_cast<size_t>(written) : 0;
  }

  bool Decompress(const char* from, size_t from_bytes, char* to, size_t count) const override {
    return decompress_(from, to, static_cast<int>(from_bytes), static_cast<int>(count)) ==
           static_cast<int>(count);
  }

 private:
  template <typename Function>
  bool Find(void* library, const char* name, Function** function) {
    *function = reinterpret_cast<Function*>(dlsym(library, name));
    return *function != nullptr;
  }

  bool is_loaded_ = false;
  int (*size_of_state_)() = nullptr;
  // With the caller's state: the other form takes 16 KiB of the stack of whoever allocates.
  int (*compress_)(void* state, const char* from, char* to, int from_bytes, int room,
                   int acceleration) = nullptr;
  int (*decompress_)(const char* from, char* to, int from_bytes, int room) = nullptr;
};

bool Lz4::Load(char* why, size_t size) {
  if (is_loaded_) return true;
  constexpr char kLibrary[] = "liblz4.so.1";
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    snprintf(why, size, "%s (package liblz4-1) cannot be loaded", kLibrary);
    return false;
  }
  if (!Find(library, "LZ4_sizeofState", &size_of_state_) ||
      !Find(library, "LZ4_compress_fast_extState", &compress_) ||
      !Find(library, "LZ4_decompress_safe", &decompress_)) {
    snprintf(why, size, "%s lacks functions of lz4 1.7", kLibrary);
    dlclose(library);
    return false;
  }
  is_loaded_ = true;
  return true;
}

constinit Lz4 g_lz4;

}  // namespace

const BlockCodec* OpenLz4(char* why, size_t size) {
  return g_lz4.Load(why, size) ? &g_lz4 : nullptr;
}

}  // namespace taskmem
