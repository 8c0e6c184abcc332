#ifndef TASKMEM_SHIM_BASE_VERSION_H_
#define TASKMEM_SHIM_BASE_VERSION_H_

namespace taskmem {

// The one place that says it: packages, man pages and JSON have it from here. The first number is
// also that of the library's SONAME (shim/BUILD).
inline constexpr char kVersion[] = "0.2.0";

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_VERSION_H_
