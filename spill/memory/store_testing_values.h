// What tests of the block store put: values that are numbers, and how they are serialized.
#ifndef TASKMEM_SPILL_MEMORY_STORE_TESTING_VALUES_H_
#define TASKMEM_SPILL_MEMORY_STORE_TESTING_VALUES_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "spill/memory/memory_store.h"
#include "spill/names/block_testing.h"

namespace taskmem {

// 1, 2, .., count; `failing_at`: the values cannot be had from that one on.
class TestValues final : public ValueIterator {
 public:
  explicit TestValues(int64_t count, int64_t first = 1, int64_t failing_at = INT64_MAX)
      : next_(first), end_(first + count), failing_at_(failing_at) {}

  bool HasNext() override {
    if (on_next) on_next(next_);
    return next_ < end_ && next_ < failing_at_;
  }
  void* Next() override { return reinterpret_cast<void*>(next_++); }
  bool has_failed() const override { return next_ >= failing_at_; }

  int64_t taken_up_to() const { return next_; }

  std::function<void(int64_t)> on_next;

 private:
  int64_t next_;
  const int64_t end_;
  const int64_t failing_at_;
};

inline int64_t NumberOf(void* value) { return reinterpret_cast<intptr_t>(value); }

// So many bytes for each value, and some more for all of them.
class LinearSizes final : public SizeEstimator {
 public:
  explicit LinearSizes(int64_t bytes_each, int64_t bytes_more = 0)
      : bytes_each_(bytes_each), bytes_more_(bytes_more) {}

  int64_t Estimate(void* const*, int64_t count) override {
    ++estimates;
    return count * bytes_each_ + bytes_more_;
  }

  int estimates = 0;

 private:
  const int64_t bytes_each_;
  const int64_t bytes_more_;
};

class TestCloser final : public ValueCloser {
 public:
  bool Close(void* value) override {
    const std::lock_guard lock(mutex_);
    closed_.push_back(NumberOf(value));
    return NumberOf(value) != failing;
  }
  std::vector<int64_t> closed() {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  int64_t failing = 0;

 private:
  std::mutex mutex_;
  std::vector<int64_t> closed_;
};

// A value as its number in `bytes_each` bytes, the last ones; at the end one byte 'e'. Keeps
// one value back, so that there is something to close.
class TestSerializer final : public ValueSerializer {
 public:
  explicit TestSerializer(int64_t bytes_each) : bytes_each_(bytes_each) {}

  bool Write(void* value, ByteSink& sink) override {
    if (NumberOf(value) == failing) return false;
    const int64_t kept = std::exchange(kept_, NumberOf(value));
    return kept == 0 || WriteOne(kept, sink);
  }
  bool Close(ByteSink& sink) override {
    ++closes;
    if (kept_ != 0 && !WriteOne(std::exchange(kept_, 0), sink)) return false;
    return sink.Write("e", 1);
  }
  ValueIterator* Open(const ChunkedBytes& bytes) override {
    std::string all;
    bytes.ForEachChunk([&all](const char* chunk, int64_t count) {
      all.append(chunk, static_cast<size_t>(count));
    });
    opened_ = std::make_unique<Opened>(Decode(all));
    return opened_.get();
  }

  // The numbers in serialized bytes.
  std::vector<int64_t> Decode(const std::string& bytes) const {
    std::vector<int64_t> numbers;
    const auto each = static_cast<size_t>(bytes_each_);
    for (size_t at = 0; at + each < bytes.size(); at += each) {
      numbers.push_back(std::stoll(bytes.substr(at, each)));
    }
    EXPECT_EQ(bytes.back(), 'e');
    return numbers;
  }

  int64_t failing = 0;
  int closes = 0;

 private:
  struct Opened final : ValueIterator {
    explicit Opened(std::vector<int64_t> the_numbers) : numbers(std::move(the_numbers)) {}
    bool HasNext() override { return next < numbers.size(); }
    void* Next() override { return reinterpret_cast<void*>(numbers[next++]); }
    std::vector<int64_t> numbers;
    size_t next = 0;
  };

  bool WriteOne(int64_t number, ByteSink& sink) {
    const std::string digits = std::to_string(number);
    const std::string bytes =
        std::string(static_cast<size_t>(bytes_each_) - digits.size(), '0') + digits;
    return sink.Write(bytes.data(), bytes_each_);
  }

  const int64_t bytes_each_;
  int64_t kept_ = 0;
  std::unique_ptr<Opened> opened_;
};

class TestSink final : public ByteSink {
 public:
  bool Write(const char* more, int64_t count) override {
    if (static_cast<int64_t>(bytes.size()) + count > limit) return false;
    bytes.append(more, static_cast<size_t>(count));
    return true;
  }

  std::string bytes;
  int64_t limit = INT64_MAX;
};

// `size` bytes 'b', or what a test says.
class TestSupplier final : public BytesSupplier {
 public:
  explicit TestSupplier(int64_t size) : size_(size) {}

  StoreResult<ChunkedBytes> Supply() override {
    ++calls;
    if (fails) return StoreError(StoreErrorCode::kSupplierFailed, "supplier failed");
    ChunkedBytes bytes(SystemMemory(), 64);
    for (int64_t i = 0; i < size_; ++i) EXPECT_TRUE(bytes.Write("b", 1));
    return bytes;
  }

  int calls = 0;
  bool fails = false;

 private:
  const int64_t size_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_STORE_TESTING_VALUES_H_
