#include "spill/memory/memory_store.h"

#include <utility>

#include "accounting/base/size_text.h"

namespace taskmem {

void BlockData::Reset() {
  MemoryEntry* const entry = std::exchange(entry_, nullptr);
  if (entry != nullptr) store_->Release(entry);
}

const BlockId& BlockData::id() const { return entry_->id; }
int64_t BlockData::size() const { return entry_->size; }
MemoryMode BlockData::mode() const { return entry_->mode; }
bool BlockData::is_serialized() const { return entry_->is_serialized; }
const ChunkedBytes& BlockData::bytes() const { return entry_->bytes; }
void* const* BlockData::values() const { return entry_->values.values(); }
int64_t BlockData::count() const { return entry_->values.count(); }
ValueCloser* BlockData::closer() const { return entry_->values.closer(); }

MemoryStore::MemoryStore(UnifiedMemoryManager& manager, BlockInfoManager& infos,
                         BlockEvictionHandler& handler, const Options& options)
    : manager_(manager), infos_(infos), handler_(handler), options_(options) {}

MemoryStore::~MemoryStore() {
  while (oldest_ != nullptr) {
    MemoryEntry* const entry = oldest_;
    Unlink(entry);
    Release(entry);
  }
  entries_.FreeBuckets(options_.source);
}

void MemoryStore::LogStart() const {
  const int64_t max = MaxMemory();
  if (max < options_.unroll_threshold_bytes) {
    LogLine(log(), LogLevel::kWarn,
            "Max memory %s is less than the initial memory threshold %s needed to store a block in "
            "memory. Please configure Spark with more memory.",
            SizeText(max).c_str(), SizeText(options_.unroll_threshold_bytes).c_str());
  }
  LogLine(log(), LogLevel::kInfo, "MemoryStore started with capacity %s", SizeText(max).c_str());
}

int64_t MemoryStore::MaxMemory() const {
  return manager_.MaxStorageMemory(MemoryMode::kOnHeap) +
         manager_.MaxStorageMemory(MemoryMode::kOffHeap);
}

MemoryEntry* MemoryStore::Find(const BlockId& id) const {
  return entries_.Find(id.hash(), [&id](const MemoryEntry& entry) { return entry.id == id; });
}

void MemoryStore::Link(MemoryEntry* entry) {
  entry->newer = nullptr;
  entry->older = newest_;
  (newest_ != nullptr ? newest_->newer : oldest_) = entry;
  newest_ = entry;
  entries_.Insert(entry);
  entry->is_listed = true;
}

void MemoryStore::Unlink(MemoryEntry* entry) {
  (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
  (entry->newer != nullptr ? entry->newer->older : newest_) = entry->older;
  entries_.Erase(entry);
  entry->is_listed = false;
}

void MemoryStore::MarkUsed(MemoryEntry* entry) {
  if (entry == newest_) return;
  (entry->older != nullptr ? entry->older->newer : oldest_) = entry->newer;
  entry->newer->older = entry->older;
  entry->newer = nullptr;
  entry->older = newest_;
  newest_->newer = entry;
  newest_ = entry;
}

MemoryEntry* MemoryStore::MakeEntry(const BlockId& id, MemoryMode mode) {
  MemoryEntry* const entry = MakeFrom<MemoryEntry>(options_.source, id, mode);
  if (entry != nullptr) entries_.Prepare(mutex_, options_.source);
  return entry;
}

// False: there is one of that name.
bool MemoryStore::Publish(MemoryEntry* entry) {
  const BlockId id = entry->id;
  {
    const MutexLock lock(mutex_);
    if (Find(id) != nullptr) return false;
    Link(entry);
  }
  infos_.NotePublished(id);
  return true;
}

// Gives up one reference.
void MemoryStore::Release(MemoryEntry* entry) {
  if (entry->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  CloseValues(entry->values);
  DestroyIn(options_.source, entry);
}

void MemoryStore::CloseValues(ValueArray& values) {
  for (int64_t failures = values.Clear(); failures > 0; --failures) {
    LogLine(log(), LogLevel::kWarn, "Fail to close a memory entry");
  }
}

StoreError MemoryStore::CheckPut(const BlockId* id) const {
  if (id == nullptr || id->name().empty()) return StoreError(StoreErrorCode::kInvalidArgument);
  if (Contains(*id)) return StoreError(StoreErrorCode::kAlreadyPresent);
  return {};
}

void MemoryStore::LogStored(const BlockId& id, int64_t size, const char* as) const {
  if (log() == nullptr || !log()->Wants(LogLevel::kInfo)) return;
  LogLine(log(), LogLevel::kInfo, "Block %s stored as %s in memory (estimated size %s, free %s)",
          id.c_str(), as, SizeText(size).c_str(),
          SizeText(MaxMemory() - BlocksMemoryUsed()).c_str());
}

StoreResult<bool> MemoryStore::PutBytes(const BlockId& id, int64_t size, MemoryMode mode,
                                        BytesSupplier& supplier) {
  if (const StoreError error = CheckPut(&id)) return error;
  MemoryEntry* const entry = MakeEntry(id, mode);
  if (entry == nullptr) return StoreErrorCode::kNoMemory;
  const Result<bool> granted = manager_.AcquireStorageMemory(id.name(), size, mode);
  if (!granted.ok() || !*granted) {
    Release(entry);
    if (!granted.ok()) return StoreError(granted.error());
    return false;
  }
  StoreResult<ChunkedBytes> bytes = supplier.Supply();
  const bool is_supplied = bytes.ok() && bytes->size() == size;
  if (is_supplied) {
    entry->size = size;
    entry->is_serialized = true;
    entry->bytes = std::move(*bytes);
  }
  if (is_supplied && Publish(entry)) {
    LogStored(id, size, "bytes");
    return true;
  }
  Release(entry);
  if (is_supplied || !IsSpark()) manager_.ReleaseStorageMemory(size, mode);
  if (is_supplied) return StoreErrorCode::kAlreadyPresent;
  return bytes.ok() ? StoreError(StoreErrorCode::kSupplierFailed, "bytes of another size")
                    : bytes.error();
}

StoreResult<bool> MemoryStore::PutValue(const BlockId& id, int64_t size, MemoryMode mode,
                                        void* value, ValueCloser* closer) {
  if (const StoreError error = CheckPut(&id)) return error;
  MemoryEntry* const entry = MakeEntry(id, mode);
  ValueArray values(options_.source, closer);
  if (entry == nullptr || !values.Reserve()) {
    DestroyIn(options_.source, entry);
    return StoreErrorCode::kNoMemory;
  }
  const Result<bool> granted = manager_.AcquireStorageMemory(id.name(), size, mode);
  if (!granted.ok() || !*granted) {
    Release(entry);
    if (!granted.ok()) return StoreError(granted.error());
    return false;
  }
  values.Append(value);
  entry->size = size;
  entry->values = std::move(values);
  if (!Publish(entry)) {
    entry->values.Forget();
    Release(entry);
    manager_.ReleaseStorageMemory(size, mode);
    return StoreErrorCode::kAlreadyPresent;
  }
  LogStored(id, size, "values");
  return true;
}

StoreResult<BlockData> MemoryStore::Get(const BlockId& id, bool serialized) {
  const MutexLock lock(mutex_);
  MemoryEntry* const entry = Find(id);
  if (entry == nullptr) return BlockData();
  MarkUsed(entry);
  if (entry->is_serialized != serialized) {
    return serialized ? StoreErrorCode::kNotSerialized : StoreErrorCode::kNotDeserialized;
  }
  entry->references.fetch_add(1, std::memory_order_relaxed);
  return BlockData(this, entry);
}

BlockData MemoryStore::GetEither(const BlockId& id) {
  const MutexLock lock(mutex_);
  MemoryEntry* const entry = Find(id);
  if (entry == nullptr) return {};
  MarkUsed(entry);
  entry->references.fetch_add(1, std::memory_order_relaxed);
  return BlockData(this, entry);
}

StoreResult<int64_t> MemoryStore::GetSize(const BlockId& id) {
  const MutexLock lock(mutex_);
  MemoryEntry* const entry = Find(id);
  if (entry == nullptr) return StoreErrorCode::kBlockNotFound;
  MarkUsed(entry);
  return entry->size;
}

bool MemoryStore::Contains(const BlockId& id) const {
  const MutexLock lock(mutex_);
  return Find(id) != nullptr;
}

BlockData MemoryStore::Detached(const BlockId& id, ChunkedBytes bytes) {
  MemoryEntry* const entry = MakeFrom<MemoryEntry>(options_.source, id, MemoryMode::kOnHeap);
  if (entry == nullptr) return {};
  entry->size = bytes.size();
  entry->is_serialized = true;
  entry->bytes = std::move(bytes);
  return BlockData(this, entry);
}

bool MemoryStore::PeekSize(const BlockId& id, int64_t* size) const {
  const MutexLock lock(mutex_);
  const MemoryEntry* const entry = Find(id);
  if (entry == nullptr) return false;
  *size = entry->size;
  return true;
}

bool MemoryStore::Remove(const BlockId& id) {
  mutex_.Lock();
  MemoryEntry* const entry = Find(id);
  if (entry != nullptr) Unlink(entry);
  mutex_.Unlock();
  if (entry == nullptr) return false;
  const int64_t size = entry->size;
  const MemoryMode mode = entry->mode;
  Release(entry);
  manager_.ReleaseStorageMemory(size, mode);
  if (log() != nullptr && log()->Wants(LogLevel::kDebug)) {
    LogLine(log(), LogLevel::kDebug, "Block %s of size %lld dropped from memory (free %lld)",
            id.c_str(), static_cast<long long>(size),
            static_cast<long long>(MaxMemory() - BlocksMemoryUsed()));
  }
  return true;
}

void MemoryStore::Clear() {
  int64_t released[kMemoryModes] = {};
  for (;;) {
    mutex_.Lock();
    MemoryEntry* const entry = oldest_;
    if (entry != nullptr) Unlink(entry);
    mutex_.Unlock();
    if (entry == nullptr) break;
    released[IndexOf(entry->mode)] += entry->size;
    Release(entry);
  }
  for (const MemoryMode mode : {MemoryMode::kOnHeap, MemoryMode::kOffHeap}) {
    released[IndexOf(mode)] += unroll_.Clear(mode);
    if (!IsSpark()) manager_.ReleaseStorageMemory(released[IndexOf(mode)], mode);
  }
  if (IsSpark()) manager_.ReleaseAllStorageMemory();
  LogLine(log(), LogLevel::kInfo, "MemoryStore cleared");
}

StoreResult<bool> MemoryStore::ReserveUnrollMemoryForTask(const BlockId& id, int64_t bytes,
                                                          MemoryMode mode, int64_t task) {
  const Result<bool> granted = manager_.AcquireUnrollMemory(id.name(), bytes, mode);
  if (!granted.ok()) return StoreError(granted.error());
  if (!*granted) return false;
  if (unroll_.Add(task, bytes, mode)) return true;
  manager_.ReleaseUnrollMemory(bytes, mode);
  return StoreErrorCode::kNoMemory;
}

void MemoryStore::ReleaseUnrollMemoryForTask(MemoryMode mode, int64_t task, int64_t bytes) {
  const int64_t released = unroll_.Take(task, bytes, mode);
  if (released > 0) manager_.ReleaseUnrollMemory(released, mode);
}

void MemoryStore::ReleaseAllUnrollMemoryForTask(int64_t task) {
  ReleaseUnrollMemoryForTask(MemoryMode::kOnHeap, task);
  ReleaseUnrollMemoryForTask(MemoryMode::kOffHeap, task);
}

void MemoryStore::AddLocks(ForkLocks* locks) {
  unroll_.AddLocks(locks);
  locks->Add(mutex_);
}

void MemoryStore::ResetInChild(bool is_inside) {
  mutex_.ResetAfterFork();
  unroll_.ResetInChild();
  int64_t sizes[kMemoryModes] = {};
  for (MemoryEntry* entry = oldest_; entry != nullptr; entry = entry->newer) {
    entry->is_selected = false;
    sizes[IndexOf(entry->mode)] += entry->size;
  }
  if (is_inside) return;
  for (const MemoryMode mode : {MemoryMode::kOnHeap, MemoryMode::kOffHeap}) {
    unroll_.Clear(mode);
    const int64_t in_flight = manager_.StorageMemoryUsed(mode) - sizes[IndexOf(mode)];
    if (in_flight > 0) manager_.ReleaseStorageMemory(in_flight, mode);
  }
}

}  // namespace taskmem
