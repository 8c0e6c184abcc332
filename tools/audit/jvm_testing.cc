// What a JVM exports of its structures: a library for jvm_parts_test.
#include <cstdint>

namespace {

uint64_t g_low = 0x10000;
uint64_t g_high = 0x30000;

struct Entry {
  const char* type;
  const char* field;
  uint64_t offset;
  const void* address;
};
// Text is read in pieces: room behind it.
alignas(64) constexpr char kText[3][64] = {"CodeCache", "_low_bound", "_high_bound"};
Entry g_entries[] = {{kText[0], kText[1], 0, &g_low}, {kText[0], kText[2], 0, &g_high}, {}};

}  // namespace

extern "C" {
const void* JvmTesting();
extern const void* gHotSpotVMStructs;
extern uint64_t gHotSpotVMStructEntryArrayStride;
extern uint64_t gHotSpotVMStructEntryTypeNameOffset;
extern uint64_t gHotSpotVMStructEntryFieldNameOffset;
extern uint64_t gHotSpotVMStructEntryOffsetOffset;
extern uint64_t gHotSpotVMStructEntryAddressOffset;

// By its address the library is found.
const void* JvmTesting() { return g_entries; }

const void* gHotSpotVMStructs = g_entries;
uint64_t gHotSpotVMStructEntryArrayStride = sizeof(Entry);
uint64_t gHotSpotVMStructEntryTypeNameOffset = 0;
uint64_t gHotSpotVMStructEntryFieldNameOffset = 8;
uint64_t gHotSpotVMStructEntryOffsetOffset = 16;
uint64_t gHotSpotVMStructEntryAddressOffset = 24;
}
