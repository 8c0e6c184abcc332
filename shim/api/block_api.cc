// The C API of cached blocks (taskmem.h): checks its arguments, and lends the program's
// callbacks to the block store.
#define TASKMEM_IMPLEMENTATION
#include <cstring>

#include "shim/heap/heap.h"
#include "shim/spilling/block_pins.h"
#include "shim/spilling/block_store.h"
#include "shim/taskmem.h"
#include "spill/names/node_table.h"

using namespace taskmem;

namespace {

bool ParseId(const char* text, BlockId* id) {
  return text != nullptr &&
         BlockId::FromName({text, strnlen(text, BlockId::kMaxNameBytes + 1)}, id);
}

// Blocks are OFF_HEAP: what malloc hands out.
bool LevelOf(uint32_t level, bool is_value, StorageLevel* result) {
  const int in_memory = StorageLevel::kMemoryFlag | StorageLevel::kOffHeapFlag |
                        (is_value ? StorageLevel::kDeserializedFlag : 0);
  int flags = 0;
  switch (level) {
    case TASKMEM_MEMORY_AND_DISK: flags = in_memory | StorageLevel::kDiskFlag; break;
    case TASKMEM_MEMORY_ONLY: flags = in_memory; break;
    case TASKMEM_DISK_ONLY: flags = StorageLevel::kDiskFlag; break;
    default: return false;
  }
  return StorageLevel::Make(flags, 1, result);
}

uint32_t NumberOf(const StorageLevel& level) {
  if (!level.use_memory()) return TASKMEM_DISK_ONLY;
  return level.use_disk() ? TASKMEM_MEMORY_AND_DISK : TASKMEM_MEMORY_ONLY;
}

// `callback`: what a callback returned; 0: none has failed.
int ErrnoOf(const StoreError& error, int callback) {
  switch (error.code) {
    case StoreErrorCode::kNone: return 0;
    case StoreErrorCode::kNoMemory: return ENOMEM;
    case StoreErrorCode::kTimedOut: return EBUSY;
    case StoreErrorCode::kNoDisk: return ENOSPC;
    case StoreErrorCode::kSupplierFailed: return callback != 0 ? callback : ENOMEM;
    case StoreErrorCode::kSerializerFailed: return callback != 0 ? callback : EINVAL;
    case StoreErrorCode::kDisk:
      switch (error.disk.code) {
        case DiskErrorCode::kNoSpace:
        case DiskErrorCode::kQuota:
        case DiskErrorCode::kTooLarge: return ENOSPC;
        case DiskErrorCode::kNoMemory: return ENOMEM;
        default: return EIO;
      }
    case StoreErrorCode::kLost: return EIO;
    default: return EINVAL;
  }
}

// The bytes of a put, as one piece of storage memory.
class CallerBytes final : public BytesSupplier {
 public:
  explicit CallerBytes(const taskmem_block_options& options) : options_(options) {}

  StoreResult<ChunkedBytes> Supply() override {
    const MemorySource memory = StorageMemory();
    auto* const bytes = static_cast<char*>(memory.allocate(options_.bytes, nullptr));
    if (bytes == nullptr) return StoreErrorCode::kNoMemory;
    if (options_.supply == nullptr) {
      if (options_.bytes > 0) memcpy(bytes, options_.data, options_.bytes);
    } else {
      const Callback callback;
      error_ = options_.supply(options_.context, bytes, options_.bytes);
    }
    const ChunkedBytes::Release release = {
        [](char* address, int64_t, void*) { StorageMemory().free(address, nullptr); }, nullptr};
    ChunkedBytes supplied;
    if (error_ == 0 && ChunkedBytes::Adopt(bytes, static_cast<int64_t>(options_.bytes), release,
                                           OwnMemory(), &supplied)) {
      return supplied;
    }
    memory.free(bytes, nullptr);
    return error_ != 0 ? StoreErrorCode::kSupplierFailed : StoreErrorCode::kNoMemory;
  }

  const char* InPlace() override { return static_cast<const char*>(options_.data); }
  int error() const { return error_; }

 private:
  const taskmem_block_options& options_;
  int error_ = 0;
};

// What the program gave with one value. Its memory is its own, and goes with the value.
class CallerValue final : public ValueCloser {
 public:
  explicit CallerValue(const taskmem_block_options& options)
      : bytes_(options.bytes),
        destroy_(options.destroy),
        serialize_(options.serialize),
        context_(options.context) {}

  bool Close(void* value) override {
    if (destroy_ != nullptr) {
      const Callback callback;
      destroy_(context_, value, bytes_);
    }
    DestroyIn(OwnMemory(), this);
    return true;
  }

  bool CanSerialize() const override { return serialize_ != nullptr; }
  bool Serialize(void* const* values, int64_t, ByteSink& sink) override {
    const auto write = [](void* to, const void* bytes, uint64_t count) {
      if (count > INT64_MAX) return EINVAL;
      // Memory for what is written is the library's business.
      const StoreCall call;
      return static_cast<ByteSink*>(to)->Write(static_cast<const char*>(bytes),
                                               static_cast<int64_t>(count))
                 ? 0
                 : ENOMEM;
    };
    const Callback callback;
    error_ = serialize_(context_, values[0], write, &sink);
    return error_ == 0;
  }
  int error() const { return error_; }

 private:
  const uint64_t bytes_;
  void (*const destroy_)(void*, void*, uint64_t);
  int (*const serialize_)(void*, const void*, taskmem_block_write, void*);
  void* const context_;
  int error_ = 0;
};

int AnswerOf(const StoreResult<PutAnswer>& answer, int callback) {
  if (!answer.ok()) return ErrnoOf(answer.error(), callback);
  switch (*answer) {
    case PutAnswer::kStored: return 0;
    case PutAnswer::kExists: return EEXIST;
    case PutAnswer::kNoRoom: return ENOMEM;
  }
  return EINVAL;
}

int PutValue(BlockManager& blocks, const BlockPut& put, const taskmem_block_options& options,
             bool* callback_failed) {
  if (put.level == StorageLevel::DiskOnly() && options.serialize == nullptr) return EINVAL;
  auto* const closer = MakeFrom<CallerValue>(OwnMemory(), options);
  if (closer == nullptr) return ENOMEM;
  const auto bytes = static_cast<int64_t>(options.bytes);
  // What was built attached to TASKMEM_STORAGE is in the storage book already.
  GiveSlackBackFor(options.bytes);
  ExpectStorage(bytes);
  const StoreResult<PutAnswer> answer = blocks.PutValue(put, bytes, options.value, closer);
  ExpectStorage(-bytes);
  if (answer.ok() && *answer == PutAnswer::kStored) return 0;
  *callback_failed = closer->error() != 0;
  const int error = AnswerOf(answer, closer->error());
  DestroyIn(OwnMemory(), closer);
  return error;
}

int PutBytes(BlockManager& blocks, const BlockPut& put, const taskmem_block_options& options,
             bool* callback_failed) {
  GiveSlackBackFor(options.bytes);
  ExpectStorage(0);  // what no task holds may have changed
  CallerBytes bytes(options);
  const StoreResult<PutAnswer> answer =
      blocks.PutBytes(put, static_cast<int64_t>(options.bytes), bytes);
  *callback_failed = bytes.error() != 0;
  return AnswerOf(answer, bytes.error());
}

}  // namespace

extern "C" {

int taskmem_block_put(const char* id, const taskmem_block_options* options) {
  BlockId block;
  if (!ParseId(id, &block) || options == nullptr || options->size < sizeof(taskmem_block_options) ||
      options->bytes > INT64_MAX / 2) {
    return EINVAL;
  }
  const int sources =
      (options->data != nullptr) + (options->supply != nullptr) + (options->value != nullptr);
  StorageLevel level;
  if (sources != 1 || !LevelOf(options->level, options->value != nullptr, &level)) return EINVAL;
  EnterHeap(nullptr);
  const StoreCall call;
  if (!call) return EAGAIN;
  BlockManager* const blocks = OpenBlockStore();
  if (blocks == nullptr) return ENOMEM;
  const BlockPut put = {.id = &block, .level = level};
  bool callback_failed = false;
  const auto try_put = [&] {
    return options->value != nullptr ? PutValue(*blocks, put, *options, &callback_failed)
                                     : PutBytes(*blocks, put, *options, &callback_failed);
  };
  const int error = try_put();
  if (error != ENOMEM || callback_failed) return error;
  // Values that were destroyed, and what no task holds, may be free and still charged.
  CollectForAllThreads();
  return try_put();
}

int taskmem_block_get(const char* id, taskmem_block* block) {
  BlockId parsed;
  if (block == nullptr || !ParseId(id, &parsed)) return EINVAL;
  BlockManager* const blocks = BlockStore();
  if (blocks == nullptr) return ENOENT;
  EnterHeap(nullptr);
  const StoreCall call(/*changes=*/false);
  if (!call) return EAGAIN;
  for (;;) {
    PinPlace* const place = TakePinPlace();
    if (place == nullptr) return ENOMEM;
    const CurrentTask task = GetCurrentTask();
    const int64_t user = BlockUserOf(task);
    BlockPin& pin = PinOf(*place);
    const StoreError error = blocks->Get(parsed, user, StoreCall::Wait(), &pin);
    if (error || !pin) {
      ReturnPinPlace(place);
      return error ? ErrnoOf(error, 0) : ENOENT;
    }
    const bool is_bytes = pin->is_serialized();
    *block = {is_bytes ? pin->bytes().contiguous() : pin->values()[0],
              static_cast<uint64_t>(pin->size()),
              is_bytes ? uint32_t{TASKMEM_BLOCK_BYTES} : TASKMEM_BLOCK_VALUE, 0, 0};
    PinHandle handle;
    if (KeepPin(place, task, &handle)) {
      block->pin = handle.index;
      block->serial = handle.serial;
      return 0;
    }
    // The task is no more, and this thread may have registered it too late.
    *block = {};
    blocks->ReleaseTask(user, nullptr);
  }
}

int taskmem_block_release(taskmem_block* block) {
  if (block == nullptr) return EINVAL;
  const StoreCall call(/*changes=*/false);
  if (!call) return EAGAIN;
  if (!DropPin({block->pin, block->serial})) return EINVAL;
  *block = {};
  return 0;
}

int taskmem_block_remove(const char* id) {
  BlockId block;
  if (!ParseId(id, &block)) return EINVAL;
  BlockManager* const blocks = BlockStore();
  if (blocks == nullptr) return ENOENT;
  EnterHeap(nullptr);
  const StoreCall call;
  if (!call) return EAGAIN;
  const StoreResult<LockOutcome> removed =
      blocks->Remove(block, BlockInfoManager::kNonTaskWriter, StoreCall::Wait());
  if (!removed.ok()) return ErrnoOf(removed.error(), 0);
  return *removed == LockOutcome::kLocked ? 0 : *removed == LockOutcome::kBusy ? EBUSY : ENOENT;
}

int taskmem_block_contains(const char* id) {
  BlockId block;
  if (!ParseId(id, &block)) return EINVAL;
  const BlockManager* const blocks = BlockStore();
  if (blocks == nullptr) return ENOENT;
  const StoreCall call(/*changes=*/false);
  if (!call) return EAGAIN;
  return blocks->Contains(block) ? 0 : ENOENT;
}

int taskmem_block_info(const char* id, taskmem_block_status* status) {
  BlockId block;
  if (status == nullptr || !ParseId(id, &block)) return EINVAL;
  const BlockManager* const blocks = BlockStore();
  if (blocks == nullptr) return ENOENT;
  const StoreCall call(/*changes=*/false);
  if (!call) return EAGAIN;
  BlockStatus found;
  if (!blocks->GetStatus(block, &found)) return ENOENT;
  *status = {NumberOf(found.level),
             static_cast<uint32_t>(found.pins),
             static_cast<uint64_t>(found.memory_bytes),
             static_cast<uint64_t>(found.disk_bytes),
             found.is_in_memory,
             found.is_on_disk};
  return 0;
}

}  // extern "C"
