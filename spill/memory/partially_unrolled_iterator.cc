#include "spill/memory/partially_unrolled_iterator.h"

namespace taskmem {

PartiallyUnrolledIterator::~PartiallyUnrolledIterator() { Close(task_); }

void PartiallyUnrolledIterator::Fill(UnrollOwner& store, MemoryMode mode, int64_t task,
                                     int64_t unroll_bytes, ValueIterator* rest) {
  Close(task_);
  store_ = &store;
  mode_ = mode;
  task_ = task;
  unroll_bytes_ = unroll_bytes;
  is_unrolled_ = true;
  has_failed_ = false;
  rest_ = rest;
}

bool PartiallyUnrolledIterator::HasUnrolled() {
  if (!is_unrolled_) return false;
  return decoded_ != nullptr ? decoded_->HasNext() : values_.has_untaken();
}

bool PartiallyUnrolledIterator::HasNext(int64_t task) {
  if (HasUnrolled()) return true;
  if (is_unrolled_) ReleaseUnrollMemory(task);
  return rest_ != nullptr && rest_->HasNext();
}

void* PartiallyUnrolledIterator::Next() {
  if (HasUnrolled()) return decoded_ != nullptr ? decoded_->Next() : values_.Take();
  return rest_ != nullptr ? rest_->Next() : nullptr;
}

void PartiallyUnrolledIterator::Close(int64_t task) {
  if (is_unrolled_) ReleaseUnrollMemory(task);
}

// Once.
void PartiallyUnrolledIterator::ReleaseUnrollMemory(int64_t task) {
  is_unrolled_ = false;
  has_failed_ = decoded_ != nullptr && decoded_->has_failed();
  store_->CloseValues(values_);
  decoded_ = nullptr;
  bytes_.Clear();
  store_->ReleaseUnrollMemoryForTask(mode_, store_->IsSpark() ? task : task_, unroll_bytes_);
}

}  // namespace taskmem
