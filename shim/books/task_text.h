// A task as every table, line and report names it: "tid 4711 (python3)", "task 42 (query 42)".
#ifndef TASKMEM_SHIM_BOOKS_TASK_TEXT_H_
#define TASKMEM_SHIM_BOOKS_TASK_TEXT_H_

#include "accounting/base/format_text.h"
#include "accounting/tasks/task_book.h"
#include "shim/taskmem.h"

namespace taskmem {

// For the length of an expression: TaskText(book).c_str(). Allocates nothing.
class TaskText {
 public:
  explicit TaskText(const TaskBook& book) {
    const uint64_t id = book.task_id.load(std::memory_order_relaxed);
    const uint64_t implicit = id - TASKMEM_IMPLICIT_TASK;
    const bool is_implicit = implicit >> 32 == 0;
    FormatText(text_, sizeof(text_), "%s %llu (%.*s)", is_implicit ? "tid" : "task",
               static_cast<unsigned long long>(is_implicit ? implicit : id),
               static_cast<int>(TaskBook::kNameBytes), book.name);
  }
  const char* c_str() const { return text_; }

 private:
  char text_[TaskBook::kNameBytes + 32];
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_TASK_TEXT_H_
