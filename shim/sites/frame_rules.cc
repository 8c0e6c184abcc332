#include "shim/sites/frame_rules.h"

#include <dlfcn.h>
#include <elf.h>

#include "accounting/base/round_up.h"
#include "shim/base/readable.h"

namespace taskmem {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kWord = sizeof(uint64_t);

// Words that one search or expression reads at most: the longest functions have some 10,000 bytes
// of instructions.
constexpr uint32_t kMostTableReads = 1 << 18;
constexpr uint32_t kMostExpressionReads = 1 << 12;

FrameBytes ExpressionOf(const TaskmemSaved& saved) {
  const auto* const at = reinterpret_cast<const uint8_t*>(saved.value);
  return {at, at + saved.expression_bytes};
}

void Translate(const TaskmemSaved& saved, SavedRegister* result) {
  switch (saved.where) {
    case kTaskmemSame: break;
    case kTaskmemCfaRelative:
      result->kind = SavedRegister::kAt;
      result->offset = static_cast<int64_t>(saved.value);
      break;
    case kTaskmemExpression:
      result->kind = SavedRegister::kAtComputed;
      result->expression = ExpressionOf(saved);
      break;
    case kTaskmemValueExpression:
      result->kind = SavedRegister::kComputed;
      result->expression = ExpressionOf(saved);
      break;
    // One that is kept in another register is not followed.
    case kTaskmemRegister:
    case kTaskmemUndefined: result->kind = SavedRegister::kUndefined; break;
  }
}

}  // namespace

std::atomic<bool> g_hides_modules{false};

void NoteUnreadable(uint64_t start, uint64_t end) {
  for (const uint64_t address : {start, end - 1}) {
    dl_find_object found;
    if (_dl_find_object(reinterpret_cast<void*>(address), &found) != 0) continue;
    const auto begins = reinterpret_cast<uint64_t>(found.dlfo_map_start);
    if (begins >= start && begins < end) g_hides_modules.store(true, std::memory_order_relaxed);
  }
}

FrameTables TablesOfModule(uint64_t header, uint64_t start, uint64_t end) {
  const FrameTables whole = {header, start, RoundUp(end, kPage)};
  // Of a module that begins with what cannot be read, the tables alone are known to be readable.
  // Whether it does costs a system call, which is made in such programs alone.
  if (g_hides_modules.load(std::memory_order_relaxed) && !IsReadable(start)) {
    return {header, header / kPage * kPage, RoundUp(end, kPage)};
  }
  const auto* const elf = reinterpret_cast<const Elf64_Ehdr*>(start);
  if (end - start < kPage || __builtin_memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
      elf->e_phentsize != sizeof(Elf64_Phdr) || elf->e_phoff % kWord != 0 ||
      elf->e_phoff >= kPage || elf->e_phnum > (kPage - elf->e_phoff) / sizeof(Elf64_Phdr)) {
    return whole;
  }
  const auto* const parts = reinterpret_cast<const Elf64_Phdr*>(start + elf->e_phoff);
  bool has_base = false;
  uint64_t base = 0;  // also of a program that was linked for its addresses
  for (uint32_t i = 0; i < elf->e_phnum; ++i) {
    const Elf64_Phdr& part = parts[i];
    if (part.p_type != PT_LOAD) continue;
    // The first one is where the module begins.
    if (!has_base) base = start - part.p_vaddr / kPage * kPage;
    has_base = true;
    const uint64_t part_start = base + part.p_vaddr / kPage * kPage;
    const uint64_t part_end = RoundUp(base + part.p_vaddr + part.p_filesz, kPage);
    if (header < part_start || header >= part_end) continue;
    if ((part.p_flags & PF_R) == 0 || part_start < start) break;
    return {header, part_start, part_end};
  }
  return whole;
}

bool FindFrameRules(const FrameTables& tables, uint64_t ip, TaskmemFrameScratch* scratch,
                    FrameRules* rules) {
  scratch->memory = {tables.readable_start, tables.readable_end, kMostTableReads, nullptr, nullptr};
  if (!TaskmemFindFrame(scratch, tables.header, ip)) return false;
  const TaskmemFrame& frame = scratch->frame;
  *rules = {};
  if (frame.cfa.where == kTaskmemExpression) {
    rules->cfa_expression = ExpressionOf(frame.cfa);
    if (rules->cfa_expression.IsEmpty()) return false;
  } else if (frame.cfa.where == kTaskmemRegister) {
    rules->cfa_register = frame.cfa.value;
    rules->cfa_offset = static_cast<int64_t>(frame.cfa_offset);
  } else {
    return false;
  }
  Translate(frame.bp, &rules->bp);
  Translate(frame.ip, &rules->ip);
  rules->is_signal_frame = frame.is_signal_frame;
  return true;
}

bool ComputeExpression(FrameBytes expression, const ExpressionHost& host, bool has_cfa,
                       uint64_t cfa, uint64_t* result) {
  if (expression.IsEmpty()) return false;
  const auto start = reinterpret_cast<uint64_t>(expression.at);
  const auto end = reinterpret_cast<uint64_t>(expression.end);
  // Whole words, which lie in the same pages.
  host.scratch->memory = {start / kWord * kWord, RoundUp(end, kWord), kMostExpressionReads,
                          host.read, host.context};
  const TaskmemRegisters registers = {host.ip, host.sp, host.bp};
  return TaskmemComputeExpression(host.scratch, &registers, start, end - start, has_cfa ? cfa : 0,
                                  result);
}

}  // namespace taskmem
