// Sizes in texts, without a C++ runtime.
#ifndef TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_
#define TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_

#include <cstdint>

namespace taskmem {

// The text of a size, for the length of an expression: SizeText(n).c_str().
//
// As Spark writes them, in what is Spark's: "1024.0 KiB", "4.0 MiB", "7.0 B" (CONST-8).
class SizeText {
 public:
  explicit SizeText(int64_t bytes);
  const char* c_str() const { return text_; }

 private:
  char text_[32];
};

// As taskmem writes them, in tables, messages and the log alike: "1.0 MiB", "7 B". At most ten
// characters.
class OwnSizeText {
 public:
  explicit OwnSizeText(uint64_t bytes);
  const char* c_str() const { return text_; }

 private:
  char text_[16];
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_
