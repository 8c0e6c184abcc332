#include "spill/memory/value_array.h"

#include <cstring>

namespace taskmem {

ValueArray& ValueArray::operator=(ValueArray&& other) {
  if (this == &other) return *this;
  Clear();
  source_ = other.source_;
  closer_ = other.closer_;
  values_ = std::exchange(other.values_, nullptr);
  count_ = std::exchange(other.count_, 0);
  taken_ = std::exchange(other.taken_, 0);
  room_ = std::exchange(other.room_, 0);
  return *this;
}

bool ValueArray::Reserve() {
  if (count_ < room_) return true;
  if (room_ > (INT64_MAX >> 5)) return false;
  const int64_t room = room_ == 0 ? 16 : room_ * 2;
  void* const memory = source_.allocate(static_cast<size_t>(room) * sizeof(void*), source_.context);
  if (memory == nullptr) return false;
  void** const values = static_cast<void**>(memory);
  if (count_ > 0) memcpy(values, values_, static_cast<size_t>(count_) * sizeof(void*));
  if (values_ != nullptr) source_.free(values_, source_.context);
  values_ = values;
  room_ = room;
  return true;
}

int64_t ValueArray::Clear() {
  int64_t failures = 0;
  if (closer_ != nullptr) {
    for (; taken_ < count_; ++taken_) {
      if (!closer_->Close(values_[taken_])) ++failures;
    }
  }
  if (values_ != nullptr) source_.free(values_, source_.context);
  values_ = nullptr;
  count_ = taken_ = room_ = 0;
  return failures;
}

}  // namespace taskmem
