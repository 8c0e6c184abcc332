#include "accounting/base/format_text.h"

#include <cstdint>
#include <cstring>

namespace taskmem {
namespace {

class Output {
 public:
  Output(char* text, size_t bytes) : text_(text), bytes_(bytes) {}

  void Put(char c) {
    if (length_ + 1 < bytes_) text_[length_] = c;
    ++length_;
  }
  void Fill(char c, size_t count) {
    while (count-- > 0) Put(c);
  }
  int End() {
    if (bytes_ > 0) text_[length_ < bytes_ ? length_ : bytes_ - 1] = '\0';
    return static_cast<int>(length_);
  }

 private:
  char* const text_;
  const size_t bytes_;
  size_t length_ = 0;
};

struct Field {
  bool is_left = false;
  char fill = ' ';
  size_t width = 0;
  size_t precision = SIZE_MAX;
};

void PutText(Output* out, const Field& field, const char* text) {
  if (text == nullptr) text = "(null)";
  const size_t length = strnlen(text, field.precision);
  const size_t padding = field.width > length ? field.width - length : 0;
  if (!field.is_left) out->Fill(' ', padding);
  for (size_t i = 0; i < length; ++i) out->Put(text[i]);
  if (field.is_left) out->Fill(' ', padding);
}

void PutNumber(Output* out, const Field& field, uint64_t value, const char* prefix, unsigned base) {
  constexpr size_t kMostDigits = 20;
  char digits[kMostDigits];
  size_t count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  const size_t length = count + strlen(prefix);
  const size_t padding = field.width > length ? field.width - length : 0;
  const bool zeros = field.fill == '0' && !field.is_left;
  if (!field.is_left && !zeros) out->Fill(' ', padding);
  for (const char* at = prefix; *at != '\0'; ++at) out->Put(*at);
  if (zeros) out->Fill('0', padding);
  while (count > 0) out->Put(digits[--count]);
  if (field.is_left) out->Fill(' ', padding);
}

size_t TakeDigits(const char** at) {
  size_t value = 0;
  for (; **at >= '0' && **at <= '9'; ++*at) value = value * 10 + static_cast<size_t>(**at - '0');
  return value;
}

}  // namespace

int FormatTextV(char* text, size_t text_bytes, const char* format, va_list arguments) {
  Output out(text, text_bytes);
  for (const char* at = format; *at != '\0'; ++at) {
    if (*at != '%') {
      out.Put(*at);
      continue;
    }
    const char* const start = at++;
    Field field;
    for (; *at == '0' || *at == '-'; ++at) {
      if (*at == '0') field.fill = '0';
      if (*at == '-') field.is_left = true;
    }
    if (*at == '*') {
      const int width = va_arg(arguments, int);
      field.is_left = field.is_left || width < 0;
      field.width = static_cast<size_t>(width < 0 ? -int64_t{width} : width);
      ++at;
    } else {
      field.width = TakeDigits(&at);
    }
    if (*at == '.') {
      ++at;
      if (*at == '*') {
        const int precision = va_arg(arguments, int);
        if (precision >= 0) field.precision = static_cast<size_t>(precision);
        ++at;
      } else {
        field.precision = TakeDigits(&at);
      }
    }
    bool is_long = false;
    for (; *at == 'l' || *at == 'z' || *at == 'h'; ++at) is_long = is_long || *at != 'h';
    switch (*at) {
      case '%': out.Put('%'); break;
      case 'c': out.Put(static_cast<char>(va_arg(arguments, int))); break;
      case 's': PutText(&out, field, va_arg(arguments, const char*)); break;
      case 'd':
      case 'i': {
        const int64_t value = is_long ? va_arg(arguments, int64_t) : va_arg(arguments, int);
        const auto bits = static_cast<uint64_t>(value);
        PutNumber(&out, field, value < 0 ? -bits : bits, value < 0 ? "-" : "", 10);
        break;
      }
      case 'u':
      case 'x': {
        const uint64_t value = is_long ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
        PutNumber(&out, field, value, "", *at == 'u' ? 10 : 16);
        break;
      }
      case 'p':
        PutNumber(&out, field, reinterpret_cast<uintptr_t>(va_arg(arguments, void*)), "0x", 16);
        break;
      default:
        // What follows cannot be found without its length.
        PutText(&out, {}, start);
        return out.End();
    }
  }
  return out.End();
}

int FormatText(char* text, size_t text_bytes, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = FormatTextV(text, text_bytes, format, arguments);
  va_end(arguments);
  return length;
}

}  // namespace taskmem
