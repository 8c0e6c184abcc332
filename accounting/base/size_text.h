// Sizes as Spark writes them: "1024.0 KiB", "4.0 MiB", "7.0 B" (CONST-8).
#ifndef TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_
#define TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_

#include <cstdint>

namespace taskmem {

// The text of a size, for the length of an expression: SizeText(n).c_str().
class SizeText {
 public:
  explicit SizeText(int64_t bytes);
  const char* c_str() const { return text_; }

 private:
  char text_[32];
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_SIZE_TEXT_H_
