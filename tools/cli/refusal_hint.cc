#include "tools/cli/refusal_hint.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/base/task_id.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

constexpr size_t kNameColumns = 40;

// The largest site of the task, as "Function (module) file:line".
std::string TopSite(const KnownSites& known, uint64_t task_id) {
  const NamedSite* top = nullptr;
  for (const NamedSite& site : known.sites) {
    if (site.task == nullptr || site.task->id != task_id || site.frames.empty()) continue;
    if (top == nullptr || site.bytes > top->bytes) top = &site;
  }
  if (top == nullptr) return "";
  const Symbol& symbol = top->frames.front().symbol;
  std::string text = fmt::format("; {} of {}", HumanBytes(top->bytes), symbol.Text());
  if (!symbol.file.empty()) text += fmt::format(" {}:{}", symbol.file, symbol.line);
  return Printable(text);
}

}  // namespace

std::string RefusalHint(const std::vector<ProcessStats>& processes, const KnownSites& known) {
  const ProcessStats* process = nullptr;
  for (const ProcessStats& each : processes) {
    if (!each.first_refusal) continue;
    if (process == nullptr || each.first_refusal->time_ns < process->first_refusal->time_ns) {
      process = &each;
    }
  }
  if (process == nullptr) return "";
  const Refusal& refusal = *process->first_refusal;
  std::string text = TaskIdText(refusal.task_id);
  if (text.find(' ') == text.npos) text = "task " + text;
  text += fmt::format(" ({})", Shortened(refusal.task_name, kNameColumns));
  if (process != processes.data()) text += fmt::format(" of pid {}", process->pid);
  text += fmt::format(" was the first to be refused memory: {}, while it held {}",
                      HumanBytes(refusal.bytes), HumanBytes(refusal.held_bytes));
  text += refusal.by_quota ? fmt::format(" of its quota of {}", HumanBytes(refusal.limit_bytes))
                           : fmt::format(" and --memory of {} had no more for it",
                                         HumanBytes(refusal.limit_bytes));
  const std::string site =
      known.pid == process->pid ? TopSite(known, refusal.task_id) : std::string();
  if (!site.empty()) return text + site;
  if (!refusal.site.empty()) text += ", " + Printable(refusal.site);
  return text + (known.was_asked_for ? "; --log FILE says what was tried"
                                     : "; `taskmem run --audit -` shows all");
}

}  // namespace taskmem
