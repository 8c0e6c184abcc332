#include "spill/memory/partially_serialized_block.h"

#include <utility>

namespace taskmem {
namespace {

// Passes bytes on and counts them.
class CountingSink final : public ByteSink {
 public:
  explicit CountingSink(ByteSink& sink) : sink_(sink) {}

  bool Write(const char* bytes, int64_t count) override {
    if (has_failed_ || !sink_.Write(bytes, count)) {
      has_failed_ = true;
      return false;
    }
    written_ += count;
    return true;
  }

  bool has_failed() const { return has_failed_; }
  int64_t written() const { return written_; }

 private:
  ByteSink& sink_;
  bool has_failed_ = false;
  int64_t written_ = 0;
};

class NullSink final : public ByteSink {};

}  // namespace

PartiallySerializedBlock::~PartiallySerializedBlock() { Abandon(); }

void PartiallySerializedBlock::Abandon() {
  if (store_ != nullptr && !store_->IsSpark() && !is_consumed_) Discard(task_);
}

void PartiallySerializedBlock::Fill(UnrollOwner& store, MemoryMode mode, int64_t task,
                                    int64_t unroll_bytes, ChunkedBytes bytes,
                                    ValueSerializer& serializer, bool is_closed,
                                    ValueIterator& rest) {
  Abandon();
  store_ = &store;
  mode_ = mode;
  task_ = task;
  unroll_bytes_ = unroll_bytes;
  bytes_ = std::move(bytes);
  serializer_ = &serializer;
  rest_ = &rest;
  is_closed_ = is_closed;
  is_consumed_ = is_discarded_ = is_released_ = false;
}

StoreError PartiallySerializedBlock::VerifyUnused() const {
  if (is_consumed_) return StoreError(StoreErrorCode::kAlreadyConsumed);
  if (is_discarded_ || store_ == nullptr) return StoreError(StoreErrorCode::kDiscarded);
  return {};
}

void PartiallySerializedBlock::ReleaseUnrollMemory(int64_t task) {
  const bool is_spark = store_->IsSpark();
  if (std::exchange(is_released_, true) && !is_spark) return;
  store_->ReleaseUnrollMemoryForTask(mode_, is_spark ? task : task_, unroll_bytes_);
}

bool PartiallySerializedBlock::CloseStream(ByteSink& sink) {
  return std::exchange(is_closed_, true) || serializer_->Close(sink);
}

void PartiallySerializedBlock::Discard(int64_t task) {
  if (store_ == nullptr || std::exchange(is_discarded_, true)) return;
  NullSink nowhere;
  CloseStream(nowhere);
  bytes_.Clear();
  ReleaseUnrollMemory(task);
}

StoreResult<int64_t> PartiallySerializedBlock::FinishWritingToStream(int64_t task, ByteSink& sink) {
  if (const StoreError error = VerifyUnused()) return error;
  is_consumed_ = true;
  CountingSink counted(sink);
  const bool is_copied = bytes_.CopyTo(counted);
  bytes_.Clear();
  ReleaseUnrollMemory(task);
  NullSink nowhere;
  const auto fail = [&](StoreErrorCode code) {
    CloseStream(nowhere);
    return counted.has_failed() ? StoreErrorCode::kSinkFailed : code;
  };
  if (!is_copied) return fail(StoreErrorCode::kSinkFailed);
  while (rest_->HasNext()) {
    if (!serializer_->Write(rest_->Next(), counted)) return fail(StoreErrorCode::kSerializerFailed);
  }
  if (rest_->has_failed()) return fail(StoreErrorCode::kIteratorFailed);
  if (!CloseStream(counted)) return fail(StoreErrorCode::kSerializerFailed);
  if (counted.has_failed()) return StoreErrorCode::kSinkFailed;
  return counted.written();
}

StoreError PartiallySerializedBlock::ValuesIterator(int64_t task,
                                                    PartiallyUnrolledIterator* values) {
  if (const StoreError error = VerifyUnused()) return error;
  is_consumed_ = true;
  const bool is_closed = CloseStream(bytes_);
  values->Fill(*store_, mode_, task_, unroll_bytes_, rest_);
  values->bytes_ = std::move(bytes_);
  values->decoded_ = is_closed ? serializer_->Open(values->bytes_) : nullptr;
  is_released_ = true;
  if (values->decoded_ != nullptr) return {};
  values->Close(task);
  return StoreError(StoreErrorCode::kSerializerFailed);
}

}  // namespace taskmem
