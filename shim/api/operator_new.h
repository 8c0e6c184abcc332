// operator new as the standard wants it: on failure the program's new_handler is
// called until it gives up, frees enough, or throws; then std::bad_alloc. One call of the
// operator is one attempt, and one more after each call of the handler.
//
// The library has no C++ runtime: handler and exception are the program's, or those of the library
// that calls, where it brings its own, or else of the libstdc++ that is loaded.
#ifndef TASKMEM_SHIM_API_OPERATOR_NEW_H_
#define TASKMEM_SHIM_API_OPERATOR_NEW_H_

#include <cstddef>

namespace taskmem {

void* NewNothrow(size_t size);
void* NewAligned(size_t size, size_t alignment);
void* NewAlignedNothrow(size_t size, size_t alignment);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_API_OPERATOR_NEW_H_
