// What a screen of `taskmem top` is made of, and what of it the viewer looks at.
#ifndef TASKMEM_TOOLS_TOP_TOP_VIEW_H_
#define TASKMEM_TOOLS_TOP_TOP_VIEW_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tools/audit/audit.h"
#include "tools/remote/reclaim_tables.h"
#include "tools/sites/named_sites.h"
#include "tools/top/top_model.h"

namespace taskmem {

enum class Style {
  kPlain,
  kHeading,
  kSelected,
  kDim,       // ended, or off
  kGood,      // memory of tasks
  kWarning,   // near a limit
  kBad,       // at or above it
  kStorage,   // cached blocks
  kUnmanaged  // of no task
};

struct Span {
  std::string text;
  Style style = Style::kPlain;
};
using ScreenLine = std::vector<Span>;

struct ScreenSize {
  size_t columns = 80;
  size_t lines = 24;
};

// What the viewer looks at, beside the model.
struct TopView {
  std::optional<TaskKey> selected;
  size_t first_row = 0;
  bool is_paused = false;
  bool shows_help = false;
  bool shows_task = false;       // the selected one, alone
  size_t first_task_line = 0;    // of those of that; beyond the last page: that page
  std::string prompt;            // what is being asked for, and what has been typed
  std::string message;           // what came of the last key
  std::string time;              // of day
  bool is_utf8 = true;           // the terminal has more than ASCII
  bool shows_all_rows = false;   // however long that is
  std::optional<Audit> audit;    // of the selected task's process, where it was asked for
  std::vector<NamedSite> sites;  // of `audit`, which they refer to
  ReclaimTables tables;          // of the same process
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TOP_VIEW_H_
