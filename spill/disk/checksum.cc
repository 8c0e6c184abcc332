#include "spill/disk/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace taskmem {
namespace {

XXH3_state_t* StateIn(char* memory) { return reinterpret_cast<XXH3_state_t*>(memory); }

}  // namespace

Checksum::Checksum() {
  static_assert(sizeof(state_) == sizeof(XXH3_state_t) && alignof(XXH3_state_t) <= 64);
  // A reset reads a member that says where the secret of a state in use is.
  XXH3_INITSTATE(StateIn(state_));
  XXH3_64bits_reset(StateIn(state_));
}

void Checksum::Add(const void* bytes, size_t count) {
  XXH3_64bits_update(StateIn(state_), bytes, count);
}

uint64_t Checksum::Value() const {
  return XXH3_64bits_digest(reinterpret_cast<const XXH3_state_t*>(state_));
}

uint64_t Checksum::Of(const void* bytes, size_t count) { return XXH3_64bits(bytes, count); }

}  // namespace taskmem
