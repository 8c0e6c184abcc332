#include "tools/cli/command_options.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <utility>

#include "tools/base/message.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

// Lines of help fit 80 columns.
constexpr size_t kOptionColumns = 26;
constexpr size_t kSentenceColumns = 80 - kOptionColumns;

// CLI11's help, with usage lines of our own.
class HelpFormatter : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) {
    column_width(kOptionColumns);
  }
  std::string make_usage(const CLI::App*, std::string) const override {
    return "\nUsage: " + usage_ + "\n";
  }
  std::string make_description(const CLI::App* app) const override {
    return app->get_description() + "\n";
  }
  // Only what the value is called: which other option it needs is said in its sentence.
  std::string make_option_opts(const CLI::Option* option) const override {
    const std::string type = option->get_type_name();
    return type.empty() ? type : " " + type;
  }
  // Without what a flag stands for: "--overflow{1}".
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    const std::string name = CLI::Formatter::make_option_name(option, is_positional);
    return name.substr(0, name.find('{'));
  }

 private:
  std::string usage_;
};

}  // namespace

void SetHelp(CLI::App* app, const char* usage) {
  app->formatter(std::make_shared<HelpFormatter>(usage));
  app->set_help_flag("--help,-h", "Prints this help.");
  app->footer("");  // not that of the command above it
}

namespace {

// CLI11 would read " 7" and "0x7", too.
pid_t PidOf(const std::string& value) {
  pid_t pid = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, pid);
  if (error == std::errc() && stop == end) return pid;
  constexpr size_t kWordColumns = 40;
  Fatal(kExitUsage, "bad value '{}' for PID: expected the number of a process",
        Printable(value, kWordColumns));
}

template <typename Pid>
CLI::Option* AddPidOption(CLI::App* command, Pid* pid, const char* sentence) {
  return command
      ->add_option_function<std::string>(
          "PID", [pid](const std::string& value) { *pid = PidOf(value); }, sentence)
      ->type_name("");
}

}  // namespace

CLI::Option* AddPid(CLI::App* command, pid_t* pid, const char* sentence) {
  return AddPidOption(command, pid, sentence);
}

CLI::Option* AddPid(CLI::App* command, std::optional<pid_t>* pid, const char* sentence) {
  return AddPidOption(command, pid, sentence);
}

std::string Sentence(std::string_view text) {
  return Wrapped(text, kSentenceColumns, 0, Breaks::kAtSpaces);
}

namespace {

// Options whose values are read where they are used.
class TextOptions {
 public:
  explicit TextOptions(CLI::App* command) : command_(*command) {}
  void operator()(const char* name, std::string* value, const char* type,
                  const char* sentence) const {
    command_.add_option(name, *value, Sentence(sentence))->type_name(type);
  }

 private:
  CLI::App& command_;
};

}  // namespace

void AddTop(CLI::App* app, TopRequest* request) {
  CLI::App* top = app->add_subcommand("top", "Shows the tasks of one or all processes, live.");
  SetHelp(top, "taskmem top [PID] [OPTIONS]");
  AddPid(top, &request->pid, "The process; without one, all.");
  top->add_flag("--once", request->once, "Prints one screen and ends.")->disable_flag_override();
  const TextOptions add(top);
  add("--interval", &request->interval, "TIME", "Between two looks. Default: 1s.");
  add("--sort", &request->sort, "COLUMN",
      "The column to sort by. Values: pid, task, name, held, quota, peak, growth, refused, "
      "spilled, overflow, or stalled. Default: held.");
  add("--filter", &request->filter, "TEXT",
      "Shows only tasks with this in their name, program or id.");
}

void AddSet(CLI::App* app, SetRequest* request) {
  CLI::App* set = app->add_subcommand("set", "Changes limits of a running process.");
  SetHelp(set, "taskmem set PID [--task ID --quota SIZE] [OPTIONS]");
  AddPid(set, &request->pid, "The process, of the same user, or any for root.")->required();
  const TextOptions add(set);
  add("--task", &request->task, "ID", "The task that --quota is for: 7, or 'tid 4711'.");
  add("--quota", &request->quota, "SIZE",
      "What the task may hold from now on. What it holds above that it keeps, and is refused "
      "more. none lifts it.");
  add("--memory", &request->memory, "SIZE",
      "What all tasks may hold together, as --memory of run. none: no limit.");
  set->add_option("--spill", request->spill,
                  Sentence("Asks the spill hooks of a task for so much, else for all it holds."))
      ->type_name("TASK [BYTES]")
      ->type_size(1)
      ->expected(1, 2);
  add("--at-limit", &request->at_limit, "ACTION",
      "What becomes of requests beyond the quota. Values: refuse, overdraw, or kill.");
  add("--wait", &request->wait, "TIME", "How long to wait for the answer. Default: 1s.");
}

void AddDoctor(CLI::App* app, DoctorRequest* request) {
  CLI::App* doctor =
      app->add_subcommand("doctor", "Says what taskmem can and cannot see in a program.");
  SetHelp(doctor, "taskmem doctor [PID | -- PROGRAM]");
  AddPid(doctor, &request->pid, "A process that runs.");
  doctor->footer(
      "Exit status: 0 all works, 1 something is not seen or does not hold, 3 nothing is\n"
      "enforced, 2 bad input.");
}

void AddMetrics(CLI::App* app, MetricsRequest* request) {
  CLI::App* metrics =
      app->add_subcommand("metrics", "Exports figures of all processes for Prometheus.");
  SetHelp(metrics, "taskmem metrics [--listen ADDRESS | --textfile FILE] [OPTIONS]");
  const TextOptions add(metrics);
  add("--listen", &request->listen, "ADDRESS",
      "Where to serve /metrics: an address and port, or a port that only this machine reaches. "
      "Default: 127.0.0.1:9469.");
  add("--textfile", &request->textfile, "FILE",
      "Writes a file for node_exporter instead, whole or not at all, and ends.");
  add("--interval", &request->interval, "TIME", "Goes on, and writes the file as often.");
  add("--names", &request->names, "COUNT",
      "How many names of tasks have series of their own; the rest is one. Default: 50.");
}

}  // namespace taskmem
