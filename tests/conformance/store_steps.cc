// Operations of MemoryStore, and of the block manager around it.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/steps.h"
#include "tests/conformance/store_errors.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

int64_t UnrollTask(const Json& in) { return in.value("ctx", MemoryStore::kNoTask); }
int64_t Locker(const Json& in) { return in.value("ctx", BlockInfoManager::kNonTaskWriter); }

Outcome Failed(const StoreError& error, const Json& in) {
  return {nullptr, SparkStoreError(error, in.value("block", ""))};
}

std::vector<int64_t> Indices(int64_t count) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i);
  return indices;
}

StorageLevel LevelOf(const Json& in, bool deserialized) {
  int flags = StorageLevel::kMemoryFlag;
  if (in.value("use_disk", false)) flags |= StorageLevel::kDiskFlag;
  if (ModeOf(in.at("mode")) == MemoryMode::kOffHeap) flags |= StorageLevel::kOffHeapFlag;
  if (deserialized) flags |= StorageLevel::kDeserializedFlag;
  StorageLevel level;
  if (!StorageLevel::Make(flags, 1, &level)) throw TraceError("impossible storage level");
  return level;
}

void Expect(const StoreError& error, const BlockId& id) {
  if (!error) return;
  char text[512];
  Describe(error, id.name(), text, sizeof(text));
  throw TraceError(text);
}

// A block that is registered and write-locked while it is put, and what becomes of that.
class Registration {
 public:
  Registration(World& world, const Json& in, bool deserialized)
      : infos_(world.blocks.infos),
        id_(BlockIdOf(in.at("block"))),
        locker_(Locker(in)),
        pins_(in.value("pin", false)) {
    const StoreResult<bool> is_new =
        infos_.LockNewBlockForWriting(id_, LevelOf(in, deserialized), locker_, false);
    Expect(is_new.error(), id_);
    is_new_ = *is_new;
  }

  const BlockId& id() const { return id_; }
  bool is_new() const { return is_new_; }

  void Keep() {
    Expect(pins_ ? infos_.DowngradeLock(id_, locker_) : infos_.Unlock(id_, locker_), id_);
  }
  void Remove() { Expect(infos_.RemoveBlock(id_, locker_), id_); }

 private:
  BlockInfoManager& infos_;
  const BlockId id_;
  const int64_t locker_;
  const bool pins_;
  bool is_new_ = false;
};

class TraceSupplier final : public BytesSupplier {
 public:
  explicit TraceSupplier(const Json& in)
      : size_(in.value("bytes", int64_t{0})), fails_(in.value("supplier_fails", false)) {}

  StoreResult<ChunkedBytes> Supply() override {
    was_called = true;
    if (fails_) return StoreError(StoreErrorCode::kSupplierFailed, "supplier failed");
    ChunkedBytes bytes;
    static char somewhere[1];  // nobody reads them
    if (!ChunkedBytes::Adopt(somewhere, size_, {}, SystemMemory(), &bytes)) {
      return StoreErrorCode::kNoMemory;
    }
    return bytes;
  }

  bool was_called = false;

 private:
  const int64_t size_;
  const bool fails_;
};

Outcome PutBytes(World& world, StepRun&, const Json& in) {
  Registration registration(world, in, false);
  if (!registration.is_new()) return Answer({{"exists", true}});
  TraceSupplier supplier(in);
  const StoreResult<bool> stored = world.blocks.store.PutBytes(
      registration.id(), in.value("bytes", int64_t{0}), ModeOf(in.at("mode")), supplier);
  if (!stored.ok()) {
    registration.Remove();
    return Failed(stored.error(), in);
  }
  if (*stored) {
    registration.Keep();
    return Answer({{"stored", true}});
  }
  if (in.value("use_disk", false)) {
    world.blocks.AddToDisk(registration.id());
    registration.Keep();
  } else {
    registration.Remove();
  }
  return Answer({{"stored", false}, {"supplier_called", supplier.was_called}});
}

PutValues PutOf(const Registration& registration, const Json& in, TraceValues& values,
                StepRun& run) {
  return {.id = &registration.id(),
          .mode = ModeOf(in.at("mode")),
          .task = UnrollTask(in),
          .values = &values,
          .cancellation = run.cancellation};
}

// After a put of values.
Outcome Finish(World& world, Registration& registration, const Json& in,
               const StoreResult<PutOutcome>& outcome, std::unique_ptr<TracePartial> partial) {
  if (!outcome.ok() || !outcome->is_stored) registration.Remove();
  if (!outcome.ok()) return Failed(outcome.error(), in);
  if (outcome->is_stored) {
    registration.Keep();
    return Answer({{"stored", true}, {"size", outcome->size}});
  }
  if (partial->serializer == nullptr && partial->iterator.unroll_bytes() != outcome->unroll_bytes) {
    throw TraceError("a partially unrolled iterator has another amount of unroll memory");
  }
  world.blocks.AddPartial(in.at("partial").get<int64_t>(), std::move(partial));
  return Answer({{"stored", false}, {"unroll", outcome->unroll_bytes}, {"taken", outcome->taken}});
}

Outcome PutValuesStep(World& world, StepRun& run, const Json& in) {
  Registration registration(world, in, true);
  if (!registration.is_new()) return Answer({{"exists", true}});
  auto partial = std::make_unique<TracePartial>();
  partial->values = std::make_unique<TraceValues>(Indices(in.value("count", int64_t{0})));
  TraceSizes sizes(in.value("estimates", std::vector<int64_t>()), in.value("size", int64_t{0}));
  const StoreResult<PutOutcome> outcome = world.blocks.store.PutIteratorAsValues(
      PutOf(registration, in, *partial->values, run), nullptr, sizes, &partial->iterator);
  return Finish(world, registration, in, outcome, std::move(partial));
}

Outcome PutIteratorBytes(World& world, StepRun& run, const Json& in) {
  Registration registration(world, in, false);
  if (!registration.is_new()) return Answer({{"exists", true}});
  std::vector<int64_t> sizes;
  for (const Json& several : in.value("sizes", Json::array())) {
    sizes.insert(sizes.end(), several.at(1).get<size_t>(), several.at(0).get<int64_t>());
  }
  auto partial = std::make_unique<TracePartial>();
  partial->values = std::make_unique<TraceValues>(std::move(sizes));
  partial->serializer = std::make_unique<TraceSerializer>();
  const StoreResult<PutOutcome> outcome = world.blocks.store.PutIteratorAsBytes(
      PutOf(registration, in, *partial->values, run), *partial->serializer, &partial->serialized);
  return Finish(world, registration, in, outcome, std::move(partial));
}

Outcome PutCloseable(World& world, StepRun& run, const Json& in) {
  Registration registration(world, in, true);
  if (!registration.is_new()) return Answer({{"exists", true}});
  const int64_t count = in.value("count", int64_t{0});
  const int64_t bytes_each = in.value("native_bytes_each", int64_t{0});
  NativeValues& closer = world.blocks.AddCloser(bytes_each, in.value("fail_close_at", int64_t{-1}));
  world.blocks.native_bytes += count * bytes_each;
  TraceValues values(Indices(count));
  TraceSizes sizes({50}, in.value("size", int64_t{0}));
  PartiallyUnrolledIterator partial;
  const StoreResult<PutOutcome> outcome = world.blocks.store.PutIteratorAsValues(
      PutOf(registration, in, values, run), &closer, sizes, &partial);
  if (!outcome.ok() || !outcome->is_stored) registration.Remove();
  if (!outcome.ok()) return Failed(outcome.error(), in);
  if (outcome->is_stored) registration.Keep();
  return Answer({{"stored", outcome->is_stored}});
}

Outcome NativeBytes(World& world, StepRun&, const Json&) {
  return Answer(world.blocks.native_bytes.load());
}

Outcome GetBytes(World& world, StepRun&, const Json& in) {
  const StoreResult<BlockData> data = world.blocks.store.GetBytes(BlockIdOf(in.at("block")));
  if (!data.ok()) return Failed(data.error(), in);
  return *data ? Answer(data->bytes().size()) : Outcome();
}

Outcome GetValues(World& world, StepRun&, const Json& in) {
  const StoreResult<BlockData> data = world.blocks.store.GetValues(BlockIdOf(in.at("block")));
  if (!data.ok()) return Failed(data.error(), in);
  return *data ? Answer(data->count()) : Outcome();
}

Outcome GetSize(World& world, StepRun&, const Json& in) {
  const StoreResult<int64_t> size = world.blocks.store.GetSize(BlockIdOf(in.at("block")));
  if (size.ok()) return Answer(*size);
  if (size.error().code != StoreErrorCode::kBlockNotFound) return Failed(size.error(), in);
  return {nullptr, {{"class", "java.lang.NullPointerException"}}};  // Spark does not look
}

Outcome Contains(World& world, StepRun&, const Json& in) {
  return Answer(world.blocks.store.Contains(BlockIdOf(in.at("block"))));
}

Outcome Remove(World& world, StepRun&, const Json& in) {
  const BlockId id = BlockIdOf(in.at("block"));
  TraceStore& blocks = world.blocks;
  const StoreResult<LockOutcome> locked =
      blocks.infos.LockForWriting(id, Locker(in), LockWait::None());
  Expect(locked.error(), id);
  if (*locked != LockOutcome::kLocked) {
    const char* const why = *locked == LockOutcome::kAbsent ? "absent" : "locked";
    return Answer({{"removed", false}, {"why", why}});
  }
  const bool was_in_memory = blocks.store.Remove(id);
  blocks.RemoveFromDisk(id);
  Expect(blocks.infos.RemoveBlock(id, Locker(in)), id);
  return Answer({{"removed", was_in_memory}});
}

Outcome Clear(World& world, StepRun&, const Json&) {
  world.blocks.Clear();
  return {};
}

Outcome Evict(World& world, StepRun&, const Json& in) {
  const std::string block = in.at("block").is_null() ? "" : in.at("block").get<std::string>();
  const std::string_view name = block;
  return AnswerOrFailure(
      world.Evictor().EvictBlocksToFreeSpace(block.empty() ? nullptr : &name,
                                             in.value("bytes", int64_t{0}), ModeOf(in.at("mode"))),
      Caller::kManager);
}

Outcome FailDrop(World& world, StepRun&, const Json& in) {
  world.blocks.FailDrop(in.value("after", int64_t{0}));
  return {};
}

Outcome ReserveUnroll(World& world, StepRun&, const Json& in) {
  const StoreResult<bool> reserved = world.blocks.store.ReserveUnrollMemoryForTask(
      BlockIdOf(in.at("block")), in.value("bytes", int64_t{0}), ModeOf(in.at("mode")),
      UnrollTask(in));
  return reserved.ok() ? Answer(*reserved) : Failed(reserved.error(), in);
}

Outcome ReleaseUnroll(World& world, StepRun&, const Json& in) {
  world.blocks.store.ReleaseUnrollMemoryForTask(ModeOf(in.at("mode")), UnrollTask(in),
                                                in.value("bytes", int64_t{0}));
  return {};
}

}  // namespace

const Operations& StoreOperations() {
  static const Operations kOperations = {
      {"clear", Clear},
      {"contains", Contains},
      {"evict", Evict},
      {"fail_drop", FailDrop},
      {"get_bytes", GetBytes},
      {"get_size", GetSize},
      {"get_values", GetValues},
      {"native_bytes", NativeBytes},
      {"put_bytes", PutBytes},
      {"put_closeable", PutCloseable},
      {"put_iterator_bytes", PutIteratorBytes},
      {"put_values", PutValuesStep},
      {"release_unroll_for_task", ReleaseUnroll},
      {"remove", Remove},
      {"reserve_unroll", ReserveUnroll},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
