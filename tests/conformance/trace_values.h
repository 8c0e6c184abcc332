// Values that are nothing but what a trace says about them.
#ifndef TASKMEM_TESTS_CONFORMANCE_TRACE_VALUES_H_
#define TASKMEM_TESTS_CONFORMANCE_TRACE_VALUES_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "spill/memory/block_values.h"

namespace taskmem::conformance {

// A number each, as a pointer: a value's index, or its serialized size.
class TraceValues final : public ValueIterator {
 public:
  explicit TraceValues(std::vector<int64_t> values) : values_(std::move(values)) {}

  bool HasNext() override { return next_ < values_.size(); }
  void* Next() override { return reinterpret_cast<void*>(values_[next_++]); }

 private:
  const std::vector<int64_t> values_;
  size_t next_ = 0;
};

// Estimates by a list, the last of which holds for ever.
class TraceSizes final : public SizeEstimator {
 public:
  TraceSizes(std::vector<int64_t> estimates, int64_t precise_size)
      : estimates_(std::move(estimates)), precise_size_(precise_size) {}

  int64_t Estimate(void* const*, int64_t) override {
    if (estimates_.empty()) return 0;
    const size_t index = std::min(next_++, estimates_.size() - 1);
    return estimates_[index];
  }
  int64_t PreciseSize(void* const*, int64_t) override { return precise_size_; }

 private:
  const std::vector<int64_t> estimates_;
  const int64_t precise_size_;
  size_t next_ = 0;
};

// A value becomes as many bytes as its number says.
class TraceSerializer final : public ValueSerializer {
 public:
  bool Write(void* value, ByteSink& sink) override {
    const std::string bytes(static_cast<size_t>(reinterpret_cast<intptr_t>(value)), 'v');
    written_.push_back(reinterpret_cast<intptr_t>(value));
    return sink.Write(bytes.data(), static_cast<int64_t>(bytes.size()));
  }
  ValueIterator* Open(const ChunkedBytes&) override {
    opened_.emplace_back(written_);
    return &opened_.back();
  }

 private:
  std::vector<int64_t> written_;
  std::vector<TraceValues> opened_;
};

// Values that hold native memory until they are closed.
class NativeValues final : public ValueCloser {
 public:
  NativeValues(std::atomic<int64_t>& native_bytes, int64_t bytes_each, int64_t fails_at)
      : native_bytes_(native_bytes), bytes_each_(bytes_each), fails_at_(fails_at) {}

  bool Close(void* value) override {
    if (reinterpret_cast<intptr_t>(value) == fails_at_) return false;
    native_bytes_ -= bytes_each_;
    return true;
  }

 private:
  std::atomic<int64_t>& native_bytes_;
  const int64_t bytes_each_;
  const int64_t fails_at_;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_TRACE_VALUES_H_
