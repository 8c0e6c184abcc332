// How values become a block: they are unrolled, and reserve memory as they grow (MS-6 to
// MS-11).
#include <algorithm>
#include <utility>

#include "accounting/base/size_text.h"
#include "spill/memory/memory_store.h"

namespace taskmem {
namespace {

// What a block grows in, either values or their bytes.
class ValuesHolder {
 public:
  static constexpr bool kIsSerialized = false;

  ValuesHolder(const MemorySource& source, ValueCloser* closer, SizeEstimator& sizes)
      : values_(source, closer), sizes_(sizes) {}

  bool HasRoom() { return values_.Reserve(); }
  bool Store(void* value) {
    values_.Append(value);
    return true;
  }
  int64_t Estimate() {
    estimate_ = sizes_.Estimate(values_.values(), values_.count());
    return estimate_;
  }
  // As far as is known.
  int64_t size() const { return estimate_; }
  bool Finish() {
    estimate_ = sizes_.PreciseSize(values_.values(), values_.count());
    return true;
  }
  void MoveTo(MemoryEntry& entry) { entry.values = std::move(values_); }
  ValueArray& values() { return values_; }

 private:
  ValueArray values_;
  SizeEstimator& sizes_;
  int64_t estimate_ = 0;
};

class BytesHolder {
 public:
  static constexpr bool kIsSerialized = true;

  BytesHolder(const MemorySource& source, int64_t chunk_bytes, ValueSerializer& serializer)
      : bytes_(source, chunk_bytes), serializer_(serializer) {}

  bool HasRoom() { return true; }
  bool Store(void* value) { return serializer_.Write(value, bytes_); }
  int64_t Estimate() { return bytes_.size(); }
  int64_t size() const { return bytes_.size(); }
  bool Finish() {
    is_closed_ = true;
    return serializer_.Close(bytes_);
  }
  void MoveTo(MemoryEntry& entry) { entry.bytes = std::move(bytes_); }
  ChunkedBytes& bytes() { return bytes_; }
  bool is_closed() const { return is_closed_; }

 private:
  ChunkedBytes bytes_;
  ValueSerializer& serializer_;
  bool is_closed_ = false;
};

int64_t SaturatingSum(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

// How much more to ask for, in Spark's arithmetic.
int64_t Growth(int64_t size, double factor, int64_t threshold) {
  const double more = static_cast<double>(size) * factor - static_cast<double>(threshold);
  if (more >= 9223372036854775807.0) return INT64_MAX;
  return static_cast<int64_t>(more);
}

bool IsInterrupted(const PutValues& put) {
  return put.cancellation != nullptr && put.task != MemoryStore::kNoTask &&
         put.cancellation->is_cancelled();
}

}  // namespace

void MemoryStore::LogUnrollFailure(const BlockId& id, int64_t size) const {
  LogLine(log(), LogLevel::kWarn, "Not enough space to cache %s in memory! (computed %s so far)",
          id.c_str(), SizeText(size).c_str());
  if (log() == nullptr || !log()->Wants(LogLevel::kInfo)) return;
  const int64_t unroll = unroll_.Total();
  const int64_t used = MemoryUsed();
  LogLine(log(), LogLevel::kInfo,
          "Memory use = %s (blocks) + %s (scratch space shared across %lld tasks(s)) = %s. Storage "
          "limit = %s.",
          SizeText(used - unroll).c_str(), SizeText(unroll).c_str(),
          static_cast<long long>(unroll_.Tasks()), SizeText(used).c_str(),
          SizeText(MaxMemory()).c_str());
}

StoreResult<bool> MemoryStore::ReserveMore(const PutValues& put, int64_t bytes,
                                           PutOutcome* outcome) {
  const StoreResult<bool> reserved = ReserveUnrollMemoryForTask(*put.id, bytes, put.mode, put.task);
  if (reserved.ok() && *reserved) outcome->unroll_bytes += bytes;
  return reserved;
}

// True: all values are in `holder`. False: there is no room for them, or the put was
// interrupted.
template <typename Holder>
StoreResult<bool> MemoryStore::Unroll(const PutValues& put, Holder& holder, PutOutcome* outcome) {
  int64_t threshold = options_.unroll_threshold_bytes;
  StoreResult<bool> keeps = ReserveMore(put, threshold, outcome);
  if (!keeps.ok()) return keeps;
  if (!*keeps) {
    LogLine(log(), LogLevel::kWarn,
            "Failed to reserve initial memory threshold of %s for computing block %s in memory.",
            SizeText(threshold).c_str(), put.id->c_str());
  }
  const int64_t period = std::max<int64_t>(1, options_.unroll_check_period);
  while (put.values->HasNext() && *keeps && !IsInterrupted(put)) {
    if (!holder.HasRoom()) return StoreErrorCode::kNoMemory;
    void* const value = put.values->Next();
    const int64_t index = outcome->taken++;
    if (!holder.Store(value)) return StoreErrorCode::kSerializerFailed;
    if (index % period != 0) continue;
    const int64_t size = holder.Estimate();
    if (size < threshold) continue;
    const int64_t more = Growth(size, options_.unroll_growth_factor, threshold);
    keeps = ReserveMore(put, more, outcome);
    if (!keeps.ok()) return keeps;
    threshold = SaturatingSum(threshold, more);
  }
  if (put.values->has_failed()) return StoreErrorCode::kIteratorFailed;
  return *keeps;
}

// The unroll memory of the put becomes storage memory. False: it does not, and the task
// still has outcome->unroll_bytes (kTaskmem).
StoreResult<bool> MemoryStore::TransferUnrollMemory(const PutValues& put, int64_t size,
                                                    PutOutcome* outcome) {
  const int64_t unrolled = outcome->unroll_bytes;
  if (IsSpark()) {
    // The whole block must pass the limit that its parts passed one by one.
    const int64_t limit =
        manager_.MaxStorageMemory(put.mode) - manager_.UnmanagedMemoryUsed(put.mode);
    if (size > limit || unroll_.Of(put.task, put.mode) < unrolled) {
      outcome->unroll_bytes = 0;
      ReleaseUnrollMemoryForTask(put.mode, put.task, unrolled);
      const Result<bool> granted = manager_.AcquireStorageMemory(put.id->name(), size, put.mode);
      if (!granted.ok()) return StoreError(granted.error());
      if (!*granted) return StoreErrorCode::kTransferFailed;
      return true;
    }
  }
  // It is storage memory (MS-2): nobody can take it in between.
  const int64_t taken = unroll_.Take(put.task, unrolled, put.mode);
  outcome->unroll_bytes = 0;
  if (taken >= size) {
    if (taken > size) manager_.ReleaseUnrollMemory(taken - size, put.mode);
    return true;
  }
  const Result<bool> granted =
      manager_.AcquireStorageMemory(put.id->name(), size - taken, put.mode);
  if (granted.ok() && *granted) return true;
  if (taken > 0 && unroll_.Add(put.task, taken, put.mode)) {
    outcome->unroll_bytes = taken;
  } else {
    manager_.ReleaseUnrollMemory(taken, put.mode);
  }
  if (!granted.ok()) return StoreError(granted.error());
  return IsSpark() ? StoreResult<bool>(StoreErrorCode::kTransferFailed) : false;
}

// False: there is no room.
template <typename Holder>
StoreResult<bool> MemoryStore::StoreUnrolled(const PutValues& put, Holder& holder,
                                             PutOutcome* outcome) {
  if (!holder.Finish()) return StoreErrorCode::kSerializerFailed;
  const int64_t size = holder.size();
  if (size < 0) return StoreErrorCode::kInvalidArgument;
  if (size > outcome->unroll_bytes) {
    StoreResult<bool> reserved = ReserveMore(put, size - outcome->unroll_bytes, outcome);
    if (!reserved.ok() || !*reserved) return reserved;
  }
  MemoryEntry* const entry = MakeEntry(*put.id, put.mode);
  if (entry == nullptr) return StoreErrorCode::kNoMemory;
  StoreResult<bool> transferred = TransferUnrollMemory(put, size, outcome);
  if (!transferred.ok() || !*transferred) {
    Release(entry);
    return transferred;
  }
  entry->size = size;
  entry->is_serialized = Holder::kIsSerialized;
  holder.MoveTo(*entry);
  if (!Publish(entry)) {
    Release(entry);
    manager_.ReleaseStorageMemory(size, put.mode);
    return StoreErrorCode::kAlreadyPresent;
  }
  outcome->is_stored = true;
  outcome->size = size;
  LogStored(*put.id, size, "values");
  return true;
}

// After a put without an error that is not stored, `holder` has what was unrolled.
template <typename Holder>
StoreResult<PutOutcome> MemoryStore::PutIterator(const PutValues& put, Holder& holder) {
  PutOutcome outcome;
  StoreResult<bool> stored = Unroll(put, holder, &outcome);
  if (stored.ok() && IsInterrupted(put)) {
    LogLine(log(), LogLevel::kInfo, "Failed to unroll block=%s since thread interrupt was received",
            put.id->c_str());
    return outcome;
  }
  if (stored.ok() && *stored) stored = StoreUnrolled(put, holder, &outcome);
  if (!stored.ok()) {
    if (!IsSpark()) ReleaseUnrollMemoryForTask(put.mode, put.task, outcome.unroll_bytes);
    return stored.error();
  }
  if (!*stored) LogUnrollFailure(*put.id, holder.size());
  return outcome;
}

StoreResult<PutOutcome> MemoryStore::PutIteratorAsValues(const PutValues& put, ValueCloser* closer,
                                                         SizeEstimator& sizes,
                                                         PartiallyUnrolledIterator* partial) {
  if (const StoreError error = CheckPut(put.id)) return error;
  ValuesHolder holder(options_.source, closer, sizes);
  StoreResult<PutOutcome> outcome = PutIterator(put, holder);
  if (outcome.ok() && !outcome->is_stored) {
    partial->Fill(*this, put.mode, put.task, outcome->unroll_bytes, put.values);
    partial->values_ = std::move(holder.values());
  } else {
    CloseValues(holder.values());
  }
  return outcome;
}

StoreResult<PutOutcome> MemoryStore::PutIteratorAsBytes(const PutValues& put,
                                                        ValueSerializer& serializer,
                                                        PartiallySerializedBlock* partial) {
  if (const StoreError error = CheckPut(put.id)) return error;
  int64_t chunk_bytes = std::max<int64_t>(1, options_.unroll_threshold_bytes);
  if (chunk_bytes > kMaxChunkBytes) {
    LogLine(log(), LogLevel::kWarn,
            "Initial memory threshold of %s is too large to be set as chunk size. Chunk size has "
            "been capped to %s",
            SizeText(chunk_bytes).c_str(), SizeText(kMaxChunkBytes).c_str());
    chunk_bytes = kMaxChunkBytes;
  }
  BytesHolder holder(options_.data_source, chunk_bytes, serializer);
  StoreResult<PutOutcome> outcome = PutIterator(put, holder);
  if (outcome.ok() && !outcome->is_stored) {
    partial->Fill(*this, put.mode, put.task, outcome->unroll_bytes, std::move(holder.bytes()),
                  serializer, holder.is_closed(), *put.values);
  }
  return outcome;
}

}  // namespace taskmem
