// A task as every table, line and report names it: "tid 4711 (python3)", "task 42 (query 42)".
#ifndef TASKMEM_SHIM_BOOKS_TASK_TEXT_H_
#define TASKMEM_SHIM_BOOKS_TASK_TEXT_H_

#include <cstddef>
#include <cstdint>

#include "accounting/base/format_text.h"
#include "accounting/tasks/task_book.h"
#include "shim/taskmem.h"

namespace taskmem {

// The number of a task: "tid 4711" of one that stands for a process or a thread, else `prefix` and
// the number. As FormatText.
inline int FormatTaskNumber(char* text, size_t text_bytes, uint64_t id, const char* prefix) {
  const uint64_t implicit = id - TASKMEM_IMPLICIT_TASK;
  const bool is_implicit = implicit >> 32 == 0;
  return FormatText(text, text_bytes, "%s%llu", is_implicit ? "tid " : prefix,
                    static_cast<unsigned long long>(is_implicit ? implicit : id));
}

// For the length of an expression: TaskText(book).c_str(). Allocates nothing.
class TaskText {
 public:
  explicit TaskText(const TaskBook& book) {
    const uint64_t id = book.task_id.load(std::memory_order_relaxed);
    const int length = FormatTaskNumber(text_, sizeof(text_), id, "task ");
    FormatText(text_ + length, sizeof(text_) - static_cast<size_t>(length), " (%.*s)",
               static_cast<int>(TaskBook::kNameBytes), book.name);
  }
  const char* c_str() const { return text_; }

 private:
  char text_[TaskBook::kNameBytes + 32];
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_TASK_TEXT_H_
