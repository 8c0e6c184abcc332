/* libunwind 1.6.2, embedded: its readers of unwind tables (CIE, FDE, call frame instructions,
   the linker's table) and of DWARF expressions. Its sources, unchanged, in one unit of C, whose
   seams are

     memory     every byte it reads passes ReadWord, which knows what is readable,
                and how much may be read: damaged tables neither fault nor go on for ever
     pools      what it allocates is a slot in the caller's scratch
     modules    the module is the caller's, found without a lock
     caches     none of its own, and so none of its locks

   Its cursor and its steps are not used: unwinder.h walks. Safe in signal handlers and inside
   malloc. For frame_rules.cc alone. */
#ifndef TASKMEM_SHIM_SITES_LIBUNWIND_EMBED_H_
#define TASKMEM_SHIM_SITES_LIBUNWIND_EMBED_H_

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What may be read. */
struct TaskmemFrameMemory {
  /* Readable, whole words. */
  uint64_t start;
  uint64_t end;
  uint32_t reads_left;
  /* The word at any other address. NULL: there is nothing else. */
  bool (*read)(void* context, uint64_t address, uint64_t* word);
  void* context;
};

/* How a register is found; as libunwind's dwarf_where_t. */
enum TaskmemWhere {
  kTaskmemUndefined,
  kTaskmemSame,
  kTaskmemCfaRelative,
  kTaskmemRegister,
  kTaskmemExpression,
  kTaskmemValueExpression,
};
struct TaskmemSaved {
  enum TaskmemWhere where;
  uint64_t value;            /* an offset, a register, or where the expression begins */
  uint64_t expression_bytes; /* its length */
};

struct TaskmemFrame {
  struct TaskmemSaved cfa; /* a register or an expression */
  uint64_t cfa_offset;
  struct TaskmemSaved bp;
  struct TaskmemSaved ip;
  bool is_signal_frame;
};

struct TaskmemRegisters {
  uint64_t ip;
  uint64_t sp;
  uint64_t bp;
};

/* What a search or an expression works with: the stack of a thread may be a small one. */
enum { kTaskmemFrameScratchWords = 370 };
struct TaskmemFrameScratch {
  struct TaskmemFrameMemory memory; /* what may be read; set by the caller */
  struct TaskmemFrame frame;        /* what was found */
  uint64_t words[kTaskmemFrameScratchWords];
};

/* The rules at `ip` by the linker's table (PT_GNU_EH_FRAME) at `table`. False: there are none, or
   they are not understood. */
bool TaskmemFindFrame(struct TaskmemFrameScratch* scratch, uint64_t table, uint64_t ip);

/* Computes the expression of `bytes` at `address`, which begins with `initial` on its stack. */
bool TaskmemComputeExpression(struct TaskmemFrameScratch* scratch,
                              const struct TaskmemRegisters* registers, uint64_t address,
                              uint64_t bytes, uint64_t initial, uint64_t* result);

#ifdef __cplusplus
}
#endif

#endif /* TASKMEM_SHIM_SITES_LIBUNWIND_EMBED_H_ */
