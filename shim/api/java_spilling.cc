// Spill hooks and blocks for Java. A hook runs on a thread of taskmem's, never inside the malloc of
// a thread that runs Java code: there the JVM may hold locks of its own, or be at a safepoint.
#define TASKMEM_IMPLEMENTATION
#include "shim/api/java_spilling.h"

#include <cstdint>

#include "shim/taskmem.h"

namespace taskmem {
namespace {

using jni::Environment;
using Class = jni::Object;

// Set once, before any method can be called.
jni::Machine* g_machine = nullptr;
jni::Object g_native_class = nullptr;
jni::Method g_spill = nullptr;

// The hook of every consumer of Java's: io.taskmem.Native.spill, with its handle.
uint64_t SpillInJava(void* handle, uint64_t bytes_needed, taskmem_consumer) {
  jni::Environment* environment = nullptr;
  const int state = jni::GetEnvironment(g_machine, &environment, jni::kVersion1_8);
  if (state == jni::kDetached) {
    jni::AttachArguments arguments = {jni::kVersion1_8, "taskmem-reclaimer", nullptr};
    // A JVM that ends takes nobody any more.
    if (jni::AttachAsDaemon(g_machine, &environment, &arguments) != jni::kOk) return 0;
  } else if (state != jni::kOk) {
    return 0;
  }
  jni::Value arguments[2];
  arguments[0].number = static_cast<int64_t>(reinterpret_cast<uintptr_t>(handle));
  arguments[1].number = bytes_needed > INT64_MAX ? INT64_MAX : static_cast<int64_t>(bytes_needed);
  const int64_t freed = jni::CallStaticLong(environment, g_native_class, g_spill, arguments);
  const bool has_thrown = jni::ClearException(environment);
  if (state == jni::kDetached) jni::Detach(g_machine);
  return has_thrown || freed < 0 ? 0 : static_cast<uint64_t>(freed);
}

// Returns the consumer's id, or minus an errno value.
int64_t RegisterConsumer(Environment* environment, Class, int64_t task, jni::Object name,
                         int64_t handle) {
  constexpr int kMostCharacters = 47;
  char text[kMostCharacters * 3 + 1] = {};
  if (name != nullptr) jni::ReadString(environment, name, kMostCharacters, text);
  taskmem_consumer_options options = {};
  options.size = sizeof(options);
  options.name = text;
  options.spill = SpillInJava;
  options.context = reinterpret_cast<void*>(static_cast<uintptr_t>(handle));
  options.run_on = TASKMEM_RECLAIMER_THREAD;
  taskmem_consumer consumer = 0;
  const int error = taskmem_consumer_register(static_cast<uint64_t>(task), &options, &consumer);
  return error == 0 ? static_cast<int64_t>(consumer) : -error;
}

int32_t UnregisterConsumer(Environment*, Class, int64_t consumer) {
  return -taskmem_consumer_unregister(static_cast<taskmem_consumer>(consumer));
}

int32_t ReportConsumer(Environment*, Class, int64_t consumer, int64_t used_bytes) {
  const uint64_t used = used_bytes < 0 ? 0 : static_cast<uint64_t>(used_bytes);
  return -taskmem_consumer_report(static_cast<taskmem_consumer>(consumer), used);
}

// Returns what the task holds less, or minus an errno value.
int64_t SpillTask(Environment*, Class, int64_t task, int64_t bytes) {
  if (bytes <= 0) return -EINVAL;
  uint64_t freed = 0;
  const int error =
      taskmem_task_spill(static_cast<uint64_t>(task), static_cast<uint64_t>(bytes), &freed);
  return error == 0 ? static_cast<int64_t>(freed) : -error;
}

// --- Blocks. Names are at most 127 bytes: what is longer, or is not ASCII, has no block.

struct BlockName {
  static constexpr int kMostCharacters = 128;
  char text[kMostCharacters * 3 + 1];
};

BlockName ReadName(Environment* environment, jni::Object name) {
  BlockName read = {};
  if (name != nullptr) {
    jni::ReadString(environment, name, BlockName::kMostCharacters, read.text);
  }
  return read;
}

int32_t PutBlock(Environment* environment, Class, jni::Object name, int64_t address, int64_t bytes,
                 int32_t level) {
  if (bytes < 0 || level < 0) return -EINVAL;
  const BlockName id = ReadName(environment, name);
  taskmem_block_options options = {};
  options.size = sizeof(options);
  options.level = static_cast<uint32_t>(level);
  options.bytes = static_cast<uint64_t>(bytes);
  options.data = reinterpret_cast<const void*>(static_cast<uintptr_t>(address));
  return -taskmem_block_put(id.text, &options);
}

// A taskmem_block as Java keeps it: address, bytes, pin, serial.
constexpr int kBlockFigures = 4;

int32_t GetBlock(Environment* environment, Class, jni::Object name, jni::Object to) {
  if (jni::ArrayLength(environment, to) < kBlockFigures) return -EINVAL;
  const BlockName id = ReadName(environment, name);
  taskmem_block block = {};
  if (const int error = taskmem_block_get(id.text, &block)) return -error;
  const int64_t figures[kBlockFigures] = {
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(block.data)),
      static_cast<int64_t>(block.bytes), static_cast<int64_t>(block.pin),
      static_cast<int64_t>(block.serial)};
  jni::SetLongs(environment, to, kBlockFigures, figures);
  return 0;
}

int32_t ReleaseBlock(Environment* environment, Class, jni::Object from) {
  if (jni::ArrayLength(environment, from) < kBlockFigures) return -EINVAL;
  int64_t figures[kBlockFigures] = {};
  jni::GetLongs(environment, from, kBlockFigures, figures);
  taskmem_block block = {};
  block.data = reinterpret_cast<const void*>(static_cast<uintptr_t>(figures[0]));
  block.bytes = static_cast<uint64_t>(figures[1]);
  block.pin = static_cast<uint32_t>(figures[2]);
  block.serial = static_cast<uint64_t>(figures[3]);
  return -taskmem_block_release(&block);
}

int32_t RemoveBlock(Environment* environment, Class, jni::Object name) {
  const BlockName id = ReadName(environment, name);
  return -taskmem_block_remove(id.text);
}

}  // namespace

void RegisterSpillingNatives(jni::Environment* environment, jni::Object java_class,
                             jni::MethodNames* names) {
  const jni::NativeMethod methods[] = {
      jni::MethodOf("registerConsumer", "(JLjava/lang/String;J)J", RegisterConsumer),
      jni::MethodOf("unregisterConsumer", "(J)I", UnregisterConsumer),
      jni::MethodOf("reportConsumer", "(JJ)I", ReportConsumer),
      jni::MethodOf("spillTask", "(JJ)J", SpillTask),
      jni::MethodOf("putBlock", "(Ljava/lang/String;JJI)I", PutBlock),
      jni::MethodOf("getBlock", "(Ljava/lang/String;[J)I", GetBlock),
      jni::MethodOf("releaseBlock", "([J)I", ReleaseBlock),
      jni::MethodOf("removeBlock", "(Ljava/lang/String;)I", RemoveBlock),
  };
  g_machine = jni::MachineOf(environment);
  g_native_class = jni::NewGlobalReference(environment, java_class);
  g_spill = jni::StaticMethod(environment, java_class, "spill", "(JJ)J");
  if (g_spill == nullptr) jni::ClearException(environment);
  constexpr int kCount = sizeof(methods) / sizeof(methods[0]);
  const bool has_hooks = g_machine != nullptr && g_native_class != nullptr && g_spill != nullptr;
  // The first of them is what hooks begin with.
  const int first = has_hooks ? 0 : 1;
  jni::RegisterNatives(environment, java_class, methods + first, kCount - first, names);
}

}  // namespace taskmem
