// One line on standard error, formatted into a stack buffer: no allocation, no
// stdio, one write(2), so that it may be called from anywhere.
#ifndef TASKMEM_SHIM_BASE_MESSAGE_H_
#define TASKMEM_SHIM_BASE_MESSAGE_H_

namespace taskmem {

// "taskmem: <formatted>\n". Preserves errno.
void Message(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_MESSAGE_H_
