// Functions of loaded libraries overwritten by jumps to others.
#ifndef TASKMEM_SHIM_CODE_CODE_PATCH_H_
#define TASKMEM_SHIM_CODE_CODE_PATCH_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

// From wherever the code lies to any address.
inline constexpr size_t kFarJumpBytes = 14;

// To an address within 2 GiB.
inline constexpr size_t kNearJumpBytes = 5;

struct CodePatch {
  unsigned char* code;  // as many bytes of it as the jump has belong to the function
  const void* target;
};

enum class CodeUse : uint8_t {
  kRunning,   // code of the same pages may run meanwhile: they stay executable
  kUntouched  // nobody has run any of these pages' code: never writable and executable at once
};

// Overwrites the head of each function; no thread may be inside one of these heads. At most
// kMostPatches. False, with nothing changed, where the pages cannot be made writable.
inline constexpr size_t kMostPatches = 64;
bool WriteFarJumps(const CodePatch* patches, size_t count, CodeUse use);

// The same for functions of which only kNearJumpBytes can be had: they jump to an island, pages of
// the library's own near [start, end), where their code lies. False also where there is no room
// for one. The island stays for good, and serves whatever is given the same targets later. By one
// thread at a time.
bool WriteNearJumps(const CodePatch* patches, size_t count, CodeUse use, uintptr_t start,
                    uintptr_t end);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CODE_CODE_PATCH_H_
