#ifndef TASKMEM_SHIM_BASE_VERSION_H_
#define TASKMEM_SHIM_BASE_VERSION_H_

namespace taskmem {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_VERSION_H_
