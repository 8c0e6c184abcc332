// Operations of PartiallyUnrolledIterator and PartiallySerializedBlock.
#include "tests/conformance/steps.h"
#include "tests/conformance/store_errors.h"

namespace taskmem::conformance {
namespace {

class Discarding final : public ByteSink {};

int64_t UnrollTask(const Json& in) { return in.value("ctx", MemoryStore::kNoTask); }

TracePartial& Partial(World& world, const Json& in) {
  return world.blocks.Partial(in.at("partial").get<int64_t>());
}

Outcome Next(World& world, StepRun&, const Json& in) {
  PartiallyUnrolledIterator& iterator = Partial(world, in).iterator;
  int64_t taken = 0;
  while (taken < in.value("count", int64_t{0}) && iterator.HasNext(UnrollTask(in))) {
    iterator.Next();
    ++taken;
  }
  return Answer(taken);
}

Outcome HasNext(World& world, StepRun&, const Json& in) {
  return Answer(Partial(world, in).iterator.HasNext(UnrollTask(in)));
}

Outcome Close(World& world, StepRun&, const Json& in) {
  Partial(world, in).iterator.Close(UnrollTask(in));
  return {};
}

Outcome Discard(World& world, StepRun&, const Json& in) {
  Partial(world, in).serialized.Discard(UnrollTask(in));
  return {};
}

Outcome FinishWriting(World& world, StepRun&, const Json& in) {
  Discarding sink;
  const StoreResult<int64_t> written =
      Partial(world, in).serialized.FinishWritingToStream(UnrollTask(in), sink);
  if (!written.ok()) return {nullptr, SparkStoreError(written.error(), "")};
  return Answer(*written);
}

Outcome ValuesIterator(World& world, StepRun&, const Json& in) {
  TracePartial& partial = Partial(world, in);
  const StoreError error = partial.serialized.ValuesIterator(UnrollTask(in), &partial.iterator);
  if (error) return {nullptr, SparkStoreError(error, "")};
  return Answer(true);
}

}  // namespace

const Operations& PartialOperations() {
  static const Operations kOperations = {
      {"partial_close", Close},
      {"partial_discard", Discard},
      {"partial_finish_writing", FinishWriting},
      {"partial_has_next", HasNext},
      {"partial_next", Next},
      {"partial_values_iterator", ValuesIterator},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
