// A hash of names.
#ifndef TASKMEM_ACCOUNTING_BASE_NAME_HASH_H_
#define TASKMEM_ACCOUNTING_BASE_NAME_HASH_H_

#include <cstdint>
#include <string_view>

namespace taskmem {

// FNV-1a, of 64 bits.
constexpr uint64_t NameHash(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_NAME_HASH_H_
