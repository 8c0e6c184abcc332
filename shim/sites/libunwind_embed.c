#include "shim/sites/libunwind_embed.h"

/* What it would have been told by configure. */
#define HAVE_ELF_H 1
#define HAVE_ENDIAN_H 1
#define HAVE_LINK_H 1
/* Every byte by a function of ours, also where it is in this process. */
#define UNW_REMOTE_ONLY 1
/* DWARF's numbers for registers are libunwind's here. */
#define dwarf_to_unw_regnum(number) (number)

#include <stddef.h>

#include "dwarf_i.h"
#include "libunwind_i.h"

/* A division that no compiler emits, and that a damaged table makes trap. */
#define DW_OP_div 0x100

/* What one search writes. */
enum { kMostStates = 8 };
struct Search {
  dwarf_cursor_t cursor;
  dwarf_state_record_t record;
  dwarf_cie_info_t common;
  unw_dyn_info_t table;
  unsigned states_used;
  dwarf_stackable_reg_state_t states[kMostStates];
};
_Static_assert(sizeof(struct Search) <= sizeof(((struct TaskmemFrameScratch*)0)->words),
               "it is too small");

/* For functions that are handed nothing of their caller's. */
static __thread struct Search* t_search;

static inline void* TakeSlot(bool is_state) {
  struct Search* const search = t_search;
  if (!is_state) return &search->common;
  return search->states_used < kMostStates ? &search->states[search->states_used++] : NULL;
}
/* States go in the reverse order. */
static inline void ReturnSlot(bool is_state) {
  if (is_state) --t_search->states_used;
}
/* The pools have no memory; their addresses tell them apart. */
#define dwarf_reg_state_pool (*(struct mempool*)1)
#define dwarf_cie_info_pool (*(struct mempool*)2)
#define IS_STATE(pool) ((pool) == &dwarf_reg_state_pool)
#undef mempool_alloc
#undef mempool_free
#define mempool_alloc(pool) TakeSlot(IS_STATE(pool))
#define mempool_free(pool, slot) ((void)(slot), ReturnSlot(IS_STATE(pool)))

/* libunwind's access_mem. */
static inline int ReadWord(unw_addr_space_t space, unw_word_t address, unw_word_t* word,
                           int is_write, void* argument) {
  (void)space, (void)is_write;
  struct TaskmemFrameMemory* const memory = argument;
  if (unlikely(memory->reads_left == 0)) return -UNW_EINVAL;
  --memory->reads_left;
  if (unlikely(address < memory->start || address >= memory->end ||
               memory->end - address < sizeof(*word))) {
    const bool is_read = memory->read != NULL && memory->read(memory->context, address, word);
    return is_read ? 0 : -UNW_EINVAL;
  }
  __builtin_memcpy(word, (const void*)address, sizeof(*word));
  return 0;
}

/* All address spaces are one, which has no memory: a constant, so that compilers call ReadWord
   directly. */
static const unw_accessors_t kAccessors = {.access_mem = ReadWord};
static inline unw_accessors_t* Accessors(unw_addr_space_t space) {
  return (void)space, (unw_accessors_t*)(uintptr_t)&kAccessors;
}
#undef unw_get_accessors_int
#define unw_get_accessors_int Accessors
#define SPACE ((unw_addr_space_t)NULL)

/* Expressions may name these. */
static inline int GetRegister(unw_cursor_t* cursor, int number, unw_word_t* value) {
  const struct dwarf_cursor* const at = (const struct dwarf_cursor*)cursor;
  switch (number) {
    case UNW_X86_64_RIP: *value = at->ip; return 0;
    case UNW_X86_64_RSP: *value = at->cfa; return 0;
    case UNW_X86_64_RBP: *value = DWARF_GET_LOC(at->loc[UNW_X86_64_RBP]); return 0;
    default: return -UNW_EBADREG;
  }
}
#undef unw_get_reg
#define unw_get_reg GetRegister

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include "Gexpr.c"
#include "Gfde.c"
#include "Gfind_proc_info-lsb.c"
#include "Gparser.c"
#pragma GCC diagnostic pop

/* In place of Gpe.c: a pointer to a pointer is not followed. Handlers of exceptions are named so,
   in data that may not be known to be readable, and nobody asks for them. */
int dwarf_read_encoded_pointer(unw_addr_space_t space, unw_accessors_t* access, unw_word_t* at,
                               unsigned char encoding, const unw_proc_info_t* info,
                               unw_word_t* value, void* argument) {
  const unsigned char direct = encoding == DW_EH_PE_omit ? encoding : encoding & ~DW_EH_PE_indirect;
  return dwarf_read_encoded_pointer_inlined(space, access, at, direct, info, value, argument);
}

/* What its steps, which are not used, would call. */
unw_addr_space_t unw_local_addr_space;
int unwi_find_dynamic_proc_info(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info,
                                int need, void* argument) {
  (void)space, (void)ip, (void)info, (void)need, (void)argument;
  return -UNW_ENOINFO;
}
void unwi_put_dynamic_unwind_info(unw_addr_space_t space, unw_proc_info_t* info, void* argument) {
  (void)space, (void)info, (void)argument;
}
void tdep_fetch_frame(struct dwarf_cursor* cursor, unw_word_t ip, int need) {
  (void)cursor, (void)ip, (void)need;
}
int tdep_cache_frame(struct dwarf_cursor* cursor) { return (void)cursor, 0; }
void tdep_reuse_frame(struct dwarf_cursor* cursor, int frame) { (void)cursor, (void)frame; }
void tdep_stash_frame(struct dwarf_cursor* cursor, struct dwarf_reg_state* state) {
  (void)cursor, (void)state;
}

/* The linker's table as libunwind wants it described. */
static bool DescribeTable(struct TaskmemFrameMemory* memory, uint64_t table,
                          struct Search* search) {
  unw_dyn_info_t* const described = &search->table;
  __builtin_memset(described, 0, sizeof(*described));
  unw_accessors_t* const access = Accessors(SPACE);
  unw_word_t at = table;
  uint8_t version, frame_encoding, count_encoding, table_encoding;
  unw_word_t frames, count;
  if (dwarf_readu8(SPACE, access, &at, &version, memory) < 0 ||
      dwarf_readu8(SPACE, access, &at, &frame_encoding, memory) < 0 ||
      dwarf_readu8(SPACE, access, &at, &count_encoding, memory) < 0 ||
      dwarf_readu8(SPACE, access, &at, &table_encoding, memory) < 0) {
    return false;
  }
  if (version != DW_EH_VERSION || table_encoding != (DW_EH_PE_datarel | DW_EH_PE_sdata4)) {
    return false;
  }
  if (dwarf_read_encoded_pointer(SPACE, access, &at, frame_encoding, &search->cursor.pi, &frames,
                                 memory) < 0 ||
      dwarf_read_encoded_pointer(SPACE, access, &at, count_encoding, &search->cursor.pi, &count,
                                 memory) < 0) {
    return false;
  }
  described->format = UNW_INFO_FORMAT_REMOTE_TABLE;
  described->end_ip = UINT64_MAX;
  described->u.rti.segbase = table;
  described->u.rti.table_data = at;
  _Static_assert(sizeof(struct table_entry) == sizeof(unw_word_t), "lengths are in words");
  described->u.rti.table_len = count;
  return count != 0;
}

static bool IsInside(const struct TaskmemFrameMemory* memory, uint64_t address, uint64_t bytes) {
  return address >= memory->start && address < memory->end && bytes <= memory->end - address;
}

static bool Describe(struct TaskmemFrameMemory* memory, const dwarf_reg_state_t* state, int column,
                     struct TaskmemSaved* saved) {
  saved->where = (enum TaskmemWhere)state->reg.where[column];
  saved->value = state->reg.val[column];
  if (saved->where != kTaskmemExpression && saved->where != kTaskmemValueExpression) return true;
  return dwarf_read_uleb128(SPACE, Accessors(SPACE), &saved->value, &saved->expression_bytes,
                            memory) >= 0 &&
         IsInside(memory, saved->value, saved->expression_bytes);
}

bool TaskmemFindFrame(struct TaskmemFrameScratch* scratch, uint64_t table, uint64_t ip) {
  struct Search* const search = (struct Search*)scratch->words;
  struct TaskmemFrameMemory* const memory = &scratch->memory;
  struct TaskmemFrame* const frame = &scratch->frame;
  dwarf_cursor_t* const cursor = &search->cursor;
  __builtin_memset(cursor, 0, sizeof(*cursor));
  if (!DescribeTable(memory, table, search)) return false;
  cursor->as = SPACE;
  cursor->as_arg = memory;
  cursor->ip = ip;
  /* Of a search of this thread that a signal handler interrupted. */
  struct Search* const before = t_search;
  t_search = search;
  search->states_used = 0;
  int result = dwarf_search_unwind_table(SPACE, ip, &search->table, &cursor->pi,
                                         /*need_unwind_info=*/1, memory);
  if (result >= 0) {
    cursor->pi_valid = 1;
    result = create_state_record_for(cursor, &search->record, ip);
  }
  t_search = before;
  if (result < 0) return false;
  const dwarf_reg_state_t* const state = &search->record.rs_current;
  frame->is_signal_frame = search->common.signal_frame;
  frame->cfa_offset = state->reg.val[DWARF_CFA_OFF_COLUMN];
  return state->ret_addr_column == UNW_X86_64_RIP &&
         Describe(memory, state, DWARF_CFA_REG_COLUMN, &frame->cfa) &&
         Describe(memory, state, UNW_X86_64_RBP, &frame->bp) &&
         Describe(memory, state, UNW_X86_64_RIP, &frame->ip);
}

bool TaskmemComputeExpression(struct TaskmemFrameScratch* scratch,
                              const struct TaskmemRegisters* registers, uint64_t address,
                              uint64_t bytes, uint64_t initial, uint64_t* result) {
  dwarf_cursor_t* const cursor = &((struct Search*)scratch->words)->cursor;
  cursor->as = SPACE;
  cursor->as_arg = &scratch->memory;
  cursor->ip = registers->ip;
  cursor->cfa = registers->sp;
  cursor->loc[UNW_X86_64_RBP] = DWARF_VAL_LOC(cursor, registers->bp);
  unw_word_t at = address;
  unw_word_t value = 0;
  int is_register = 0;
  if (dwarf_eval_expr(cursor, initial, &at, bytes, &value, &is_register) < 0) return false;
  *result = value;
  return !is_register;
}
