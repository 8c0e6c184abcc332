// Lines that stand alone: storage levels and names of blocks.
#include <string>

#include "spill/names/block_id.h"
#include "spill/names/storage_level.h"
#include "tests/conformance/steps.h"
#include "tests/conformance/text.h"

namespace taskmem::conformance {
namespace {

Outcome Level(const Json&, const Json& in) {
  StorageLevel level;
  if (!StorageLevel::FromName(in.at("name").get<std::string>(), &level)) {
    throw TraceError("no such storage level");
  }
  char text[64];
  level.Describe(text, sizeof(text));
  return Answer({{"use_disk", level.use_disk()},
                 {"use_memory", level.use_memory()},
                 {"use_off_heap", level.use_off_heap()},
                 {"deserialized", level.deserialized()},
                 {"replication", level.replication()},
                 {"flags", level.flags()},
                 {"valid", level.IsValid()},
                 {"mode", NameOf(level.memory_mode())},
                 {"text", text}});
}

Outcome LevelFlags(const Json&, const Json& in) {
  int flags = 0;
  if (in.value("use_disk", false)) flags |= StorageLevel::kDiskFlag;
  if (in.value("use_memory", false)) flags |= StorageLevel::kMemoryFlag;
  if (in.value("use_off_heap", false)) flags |= StorageLevel::kOffHeapFlag;
  if (in.value("deserialized", false)) flags |= StorageLevel::kDeserializedFlag;
  StorageLevel level;
  if (!StorageLevel::Make(flags, in.value("replication", 0), &level)) {
    return {nullptr,
            {{"class", "java.lang.AssertionError"},
             {"msg",
              "assertion failed: Replication restricted to be less than 40 for calculating hash "
              "codes"}}};
  }
  return Answer({{"flags", level.flags()},
                 {"valid", level.IsValid()},
                 {"mode", NameOf(level.memory_mode())}});
}

Outcome BlockRdd(const Json&, const Json& in) {
  const std::string name = in.value("block", "");
  BlockId id;
  if (!BlockId::Parse(name, &id)) {
    return {nullptr,
            {{"class", "org.apache.spark.storage.UnrecognizedBlockId"},
             {"condition", nullptr},
             {"params", Json::object()},
             {"msg", "Failed to parse " + name + " into a block ID"}}};
  }
  return id.rdd_id() != BlockId::kNoRdd ? Answer(id.rdd_id()) : Outcome();
}

}  // namespace

const ConfigOperations& LevelOperations() {
  static const ConfigOperations kOperations = {
      {"block_rdd", BlockRdd},
      {"level", Level},
      {"level_flags", LevelFlags},
  };
  return kOperations;
}

}  // namespace taskmem::conformance
