// printf's formats for texts of the library's own, in little stack: libc's take more than 1 KiB,
// and whoever allocates may have a stack of 4.
#ifndef TASKMEM_ACCOUNTING_BASE_FORMAT_TEXT_H_
#define TASKMEM_ACCOUNTING_BASE_FORMAT_TEXT_H_

#include <cstdarg>
#include <cstddef>

namespace taskmem {

// As vsnprintf: cut where it is longer, always NUL-terminated if `text_bytes` is not 0; returns
// the length of the whole text. Of formats it knows %s %c %d %i %u %x %p %%, with the flags 0 and
// -, width, precision of texts (numbers or *) and the lengths h, l, z; another conversion is
// written as it stands, and ends the text. Takes no lock, allocates nothing, keeps errno.
int FormatTextV(char* text, size_t text_bytes, const char* format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
int FormatText(char* text, size_t text_bytes, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_FORMAT_TEXT_H_
