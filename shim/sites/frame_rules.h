// How to get from a function's frame to its caller's: the call frame information of DWARF, as
// .eh_frame has it, for x86-64 and the registers that matter to a stack trace. libunwind reads
// it (libunwind_embed.h).
#ifndef TASKMEM_SHIM_SITES_FRAME_RULES_H_
#define TASKMEM_SHIM_SITES_FRAME_RULES_H_

#include <atomic>
#include <cstdint>

#include "shim/sites/libunwind_embed.h"

namespace taskmem {

// Bytes of unwind information, which end somewhere.
struct FrameBytes {
  const uint8_t* at = nullptr;
  const uint8_t* end = nullptr;

  bool IsEmpty() const { return at == nullptr || at >= end; }
};

// Where the caller's value of a register is.
struct SavedRegister {
  enum Kind : uint8_t {
    kSame,        // in the register still
    kAt,          // at CFA + offset
    kAtComputed,  // at the address that `expression` computes
    kComputed,    // it is what `expression` computes
    kUndefined,   // nowhere; for the return address: the outermost frame
  };
  Kind kind = kSame;
  int64_t offset = 0;
  FrameBytes expression;
};

// The canonical frame address: the stack pointer before the call.
struct FrameRules {
  uint64_t cfa_register = 0;  // DWARF's number
  int64_t cfa_offset = 0;
  FrameBytes cfa_expression;  // not empty: instead of register and offset
  SavedRegister bp;
  SavedRegister ip;
  bool is_signal_frame = false;
};

inline constexpr uint64_t kBpRegister = 6;
inline constexpr uint64_t kSpRegister = 7;
inline constexpr uint64_t kIpRegister = 16;

// Unwind tables, and what is readable around them.
struct FrameTables {
  uint64_t header = 0;  // the PT_GNU_EH_FRAME segment
  uint64_t readable_start = 0;
  uint64_t readable_end = 0;
};

// The program has taken away the right to read where some module begins (NoteUnreadable), for good.
extern std::atomic<bool> g_hides_modules;

// Before [start, end) cannot be read any more: where a module begins there, its beginning is not
// read from now on. A thread that is unwinding just then may still do so. Takes no lock.
void NoteUnreadable(uint64_t start, uint64_t end);

// Of a module of which [start, end) is loaded, with unwind tables at `header` in it: its segment
// that has the tables.
FrameTables TablesOfModule(uint64_t header, uint64_t start, uint64_t end);

// The rules at `ip`. False: there are none, or they are not understood. `scratch` is memory for
// the search.
bool FindFrameRules(const FrameTables& tables, uint64_t ip, TaskmemFrameScratch* scratch,
                    FrameRules* rules);

// Computes a DWARF expression, in `scratch`. read(context, address, &word) returns false where it
// cannot.
struct ExpressionHost {
  uint64_t ip;
  uint64_t sp;
  uint64_t bp;
  bool (*read)(void* context, uint64_t address, uint64_t* word);
  void* context;
  TaskmemFrameScratch* scratch;
};
bool ComputeExpression(FrameBytes expression, const ExpressionHost& host, bool has_cfa,
                       uint64_t cfa, uint64_t* result);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SITES_FRAME_RULES_H_
