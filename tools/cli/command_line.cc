#include "tools/cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "shim/base/version.h"
#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "tools/base/message.h"
#include "tools/base/units.h"
#include "tools/cli/command_options.h"

namespace taskmem {
namespace {

constexpr size_t kWordColumns = 40;

// Where the options that are the command's alone stand.
constexpr char kOutputGroup[] = "Output";

constexpr char kExamples[] =
    "Examples:\n"
    "  taskmem run -- python3 script.py\n"
    "  taskmem run --quota 512M --task-by thread -- ./server --port 80\n"
    "  taskmem run --quiet --stats stats.json -- make\n"
    "  taskmem stats 4711\n"
    "  taskmem audit 4711\n"
    "  taskmem top\n"
    "  taskmem set 4711 --task 7 --quota 256M\n\n"
    "`taskmem help run` lists the options of run.";

constexpr char kRunFooter[] =
    "Try --task-by thread for a row of each thread, and --audit - for who holds each\n"
    "resident byte.";

std::string Describe(const OptionInfo& option) {
  std::string text = option.sentence;
  if (option.value_name != nullptr) {
    text += fmt::format(" Values: {}.", option.expected);
    if (*option.default_value != '\0') text += fmt::format(" Default: {}.", option.default_value);
  }
  return Sentence(text + fmt::format(" [{}]", option.variable));
}

// One flag for each row of the table of options.
void AddTableOptions(CLI::App* run, RunRequest* request) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionInfo& option = kOptions[i];
    const std::string flag = std::string("--") + option.name;
    if (option.value_name == nullptr) {
      // "--overflow" is "--overflow=1"; what else stands there is the table's to judge.
      const std::string sentence = Describe(option);
      run->add_flag(flag + "{1}", sentence)
          ->each([request, &option](const std::string& value) {
            request->options[option.name] = value;
          })
          ->group(option.group);
      continue;
    }
    run->add_option_function<std::string>(
           flag,
           [request, &option](const std::string& value) { request->options[option.name] = value; },
           Describe(option))
        ->type_name(option.value_name)
        ->group(option.group)
        ->take_last();
  }
}

bool TakesValue(std::string_view flag) {
  if (flag == "--stats" || flag == "--audit" || flag == "--record") return true;
  return std::any_of(kOptions, kOptions + kOptionCount, [&](const OptionInfo& option) {
    return flag.substr(2) == option.name && option.value_name != nullptr;
  });
}

// A word that is no command is said before what follows it.
void RefuseUnknownCommand(const CLI::App& app, std::string_view word) {
  if (word.starts_with('-')) return;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == word) return;
  }
  Fatal(kExitUsage, "no command {}: try taskmem --help",
        word.empty() ? "''" : Printable(word, kWordColumns));
}

[[noreturn]] void PrintHelp(CLI::App* app) {
  PrintOrFail(app->help());
  exit(EXIT_SUCCESS);
}

// CLI11 takes "--flag=" and "--flag={}" for "--flag", and a value that is missing there from the
// next argument. An empty word is what a script makes of a variable that is not set: nothing is
// meant by it. `arguments`: what follows the command; of `run` the first that is no option is the
// program, and what follows it is the program's.
void RefuseEmptyValues(char** arguments, char** end, bool is_run) {
  for (char** at = arguments; at < end; ++at) {
    const std::string_view text = *at;
    const bool is_option = text.starts_with("--");
    if (is_run && !is_option) return;
    if (text.empty())
      Fatal(kExitUsage, "an empty word follows {}", Printable(at[-1], kWordColumns));
    if (is_option && (text.ends_with('=') || text.ends_with("={}"))) {
      Fatal(kExitUsage, "no value: {}", Printable(text, kWordColumns));
    }
    if (!is_run || text.find('=') != text.npos || !TakesValue(text)) continue;
    ++at;
    if (at < end && **at == '\0') Fatal(kExitUsage, "no value for {}", text);
  }
}

void AddRun(CLI::App* app, RunRequest* request) {
  CLI::App* run = app->add_subcommand("run", "Runs a program and reports what its tasks held.");
  SetHelp(run, "taskmem run [OPTIONS] -- PROGRAM [ARGUMENTS]");
  run->prefix_command();
  run->footer(kRunFooter);
  AddTableOptions(run, request);
  run->add_flag("--quiet", request->quiet, "Prints no table at exit.")
      ->disable_flag_override()
      ->group(kOutputGroup);
  run->add_option("--stats", request->json_file,
                  Sentence("Writes the table at exit as JSON; - prints it on standard error."))
      ->type_name("FILE")
      ->group(kOutputGroup);
  run->add_option("--audit", request->audit_file,
                  Sentence("Writes who held each resident byte, at the end and at the peak, as "
                           "JSON; - prints tables."))
      ->type_name("FILE")
      ->group(kOutputGroup);
  run->add_option("--record", request->record_file,
                  Sentence("Writes what happened when, for `taskmem report`; readable also "
                           "while it grows."))
      ->type_name("FILE")
      ->group(kOutputGroup);
}

void AddPs(CLI::App* app, PsRequest* request) {
  CLI::App* ps = app->add_subcommand("ps", "Lists the processes that run under taskmem.");
  SetHelp(ps, "taskmem ps [--json] [--dead [--forget]]");
  ps->add_flag("--json", request->as_json, "Prints JSON.")->disable_flag_override();
  CLI::Option* dead =
      ps->add_flag("--dead", request->of_dead,
                   Sentence("Lists processes that were killed and left their books, which stay for "
                            "a day; `taskmem stats PID` shows them."))
          ->disable_flag_override();
  ps->add_flag("--forget", request->forgets, "With --dead: removes these books.")
      ->disable_flag_override()
      ->needs(dead);
}

void AddStats(CLI::App* app, StatsRequest* request) {
  CLI::App* stats = app->add_subcommand("stats", "Shows the tasks of a process.");
  SetHelp(stats, "taskmem stats PID [--json] [--output FILE]");
  AddPid(stats, &request->pid, "The process.")->required();
  stats->add_flag("--json", request->as_json, "Prints JSON.")->disable_flag_override();
  stats->add_option("--output", request->output_file, "Writes there, not on standard output.")
      ->type_name("FILE");
}

size_t CountOf(const std::string& value) {
  size_t count = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, count);
  if (error == std::errc() && stop == end) return count;
  Fatal(kExitUsage, "bad value '{}' for --sites: expected a number",
        Printable(value, kWordColumns));
}

bool IsModule(const std::string& value) {
  if (value == "module") return true;
  Fatal(kExitUsage, "bad value '{}' for --by: expected module", Printable(value, kWordColumns));
}

void AddAudit(CLI::App* app, AuditRequest* request) {
  CLI::App* audit = app->add_subcommand("audit", "Says who holds each resident byte of a process.");
  SetHelp(audit, "taskmem audit PID [OPTIONS]");
  AddPid(audit, &request->pid, "The process.")->required();
  audit->add_flag("--json", request->as_json, "Prints JSON, with all sites.")
      ->disable_flag_override();
  audit->add_option("--output", request->output_file, "Writes there, not on standard output.")
      ->type_name("FILE");
  audit
      ->add_option_function<std::string>(
          "--sites", [request](const std::string& value) { request->sites = CountOf(value); },
          "How many allocation sites the table shows.")
      ->type_name("COUNT");
  audit
      ->add_option_function<std::string>(
          "--by", [request](const std::string& value) { request->by_module = IsModule(value); },
          "Sums the sites up by module.")
      ->type_name("module");
  audit->add_option("--collapsed", request->collapsed_file, "Writes stacks for flame graphs.")
      ->type_name("FILE");
  audit->add_option("--pprof", request->pprof_file, "Writes a profile for pprof.")
      ->type_name("FILE");
}

void AddRecord(CLI::App* app, RecordRequest* request) {
  CLI::App* record = app->add_subcommand("record", "Records what happens in a process and when.");
  SetHelp(record, "taskmem record PID [OPTIONS]");
  AddPid(record, &request->pid, "The process.")->required();
  record
      ->add_option("--output,-o", request->file,
                   Sentence("Where to; else taskmem-PID.recording in this folder."))
      ->type_name("FILE");
  record
      ->add_option("--for", request->duration,
                   Sentence("How long; else until the process ends, or Ctrl-C."))
      ->type_name("TIME");
}

void AddReport(CLI::App* app, ReportRequest* request) {
  CLI::App* report = app->add_subcommand("report", "Makes a page of what was recorded.");
  SetHelp(report, "taskmem report FILE [OPTIONS]");
  report->add_option("FILE", request->file, "The recording.")->required()->type_name("");
  report->add_flag("--text", request->as_text, "Prints text instead.")->disable_flag_override();
  report->add_flag("--json", request->as_json, "Prints JSON instead: all of it.")
      ->disable_flag_override();
  report
      ->add_option("--output,-o", request->output_file,
                   Sentence("Where to; else the page to FILE.html, the rest to standard output."))
      ->type_name("FILE");
  report
      ->add_option("--at", request->at,
                   Sentence("The moment of the profiles below, since the recording began; else "
                            "the peak."))
      ->type_name("TIME");
  report->add_option("--collapsed", request->collapsed_file, "Writes stacks for flame graphs.")
      ->type_name("FILE");
  report->add_option("--pprof", request->pprof_file, "Writes a profile for pprof.")
      ->type_name("FILE");
  report->add_option("--speedscope", request->speedscope_file, "Writes a profile for speedscope.")
      ->type_name("FILE");
}

void AddSimulate(CLI::App* app, SimulateRequest* request) {
  CLI::App* simulate =
      app->add_subcommand("simulate", "Says what other limits would have made of a recording.");
  SetHelp(simulate, "taskmem simulate FILE [OPTIONS]");
  simulate->add_option("FILE", request->file, "The recording.")->required()->type_name("");
  simulate
      ->add_option("--quota", request->quotas,
                   Sentence("What each task may hold: sizes by commas, a row for each."))
      ->type_name("LIST");
  simulate
      ->add_option("--memory", request->memories,
                   Sentence("What all tasks may hold together: sizes by commas."))
      ->type_name("LIST");
  simulate->add_option("--share", request->share, "How tasks share it: none, fair or spark.")
      ->type_name("RULE");
  simulate
      ->add_option("--storage-fraction", request->storage_fraction,
                   Sentence("The part of it that cached blocks keep against tasks."))
      ->type_name("FRACTION");
  simulate
      ->add_flag("--find", request->finds,
                 Sentence("Looks for the least quota with which all requests find room."))
      ->disable_flag_override();
  simulate->add_flag("--json", request->as_json, "Prints JSON.")->disable_flag_override();
  simulate->add_option("--output,-o", request->output_file, "Where to; else standard output.")
      ->type_name("FILE");
  simulate->add_option("--plot", request->plot_file, "Writes a picture of it, as SVG.")
      ->type_name("FILE");
}

void AddHelp(CLI::App* app, std::string* topic) {
  CLI::App* help = app->add_subcommand("help", "Prints the help of a command.");
  SetHelp(help, "taskmem help [COMMAND]");
  help->add_option("COMMAND", *topic, "The command.")->type_name("");
}

// CLI11's, where that speaks of its own terms.
std::string Complaint(const std::string& text) {
  const size_t required = text.find(": 1 required ");
  if (required != text.npos) return "no value for " + text.substr(0, required);
  const size_t override = text.find(" was given a disallowed flag override");
  if (override != text.npos) return "--" + text.substr(0, override) + " takes no value";
  return Printable(text);
}

// Ends the process where that was help or the version, or a complaint.
void ParseOrEnd(CLI::App* app, int argc, char** argv) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::Success& success) {
    std::ostringstream text;
    const int status = app->exit(success, text, text);
    PrintOrFail(text.str());
    exit(status);
  } catch (const CLI::ParseError& error) {
    Fatal(kExitUsage, "{}", Complaint(error.what()));
  }
}

}  // namespace

Request ParseCommandLine(int argc, char** argv) {
  // The program's own command line is not ours to parse.
  char** const end = argv + argc;
  char** const mark = std::find(argv, end, std::string("--"));

  CLI::App app("Charges the memory of a program to its tasks, and holds them to a quota.",
               "taskmem");
  SetHelp(&app, "taskmem COMMAND [OPTIONS]");
  app.set_version_flag("--version", std::string("taskmem ") + kVersion, "Prints the version.");
  app.require_subcommand(0, 1);
  app.footer(kExamples);

  RunRequest run_request;
  PsRequest ps_request;
  StatsRequest stats_request;
  AuditRequest audit_request;
  TopRequest top_request;
  SetRequest set_request;
  DoctorRequest doctor_request;
  MetricsRequest metrics_request;
  RecordRequest record_request;
  ReportRequest report_request;
  SimulateRequest simulate_request;
  std::string help_topic;
  AddRun(&app, &run_request);
  AddPs(&app, &ps_request);
  AddStats(&app, &stats_request);
  AddAudit(&app, &audit_request);
  AddTop(&app, &top_request);
  AddSet(&app, &set_request);
  AddDoctor(&app, &doctor_request);
  AddMetrics(&app, &metrics_request);
  AddRecord(&app, &record_request);
  AddReport(&app, &report_request);
  AddSimulate(&app, &simulate_request);
  AddHelp(&app, &help_topic);

  if (argc > 1) RefuseUnknownCommand(app, argv[1]);
  if (argc > 2 && std::string_view(argv[1]) == "help") RefuseUnknownCommand(app, argv[2]);
  if (argc > 1) RefuseEmptyValues(argv + 2, mark, std::string_view(argv[1]) == "run");
  ParseOrEnd(&app, static_cast<int>(mark - argv), argv);

  if (app.got_subcommand("help")) {
    PrintHelp(help_topic.empty() ? &app : app.get_subcommand(help_topic));
  }
  if (app.got_subcommand("ps")) return ps_request;
  if (app.got_subcommand("stats")) return stats_request;
  if (app.got_subcommand("audit")) return audit_request;
  if (app.got_subcommand("top")) return top_request;
  if (app.got_subcommand("set")) return set_request;
  if (app.got_subcommand("metrics")) return metrics_request;
  if (app.got_subcommand("doctor")) {
    if (mark != end) doctor_request.program.assign(mark + 1, end);
    doctor_request.has_mark = mark != end;
    return doctor_request;
  }
  if (app.got_subcommand("record")) return record_request;
  if (app.got_subcommand("report")) return report_request;
  if (app.got_subcommand("simulate")) return simulate_request;
  if (!app.got_subcommand("run")) Fatal(kExitUsage, "no command given: try taskmem --help");
  std::vector<std::string>& program = run_request.program;
  program = app.get_subcommand("run")->remaining();
  if (!program.empty() && program.front().starts_with('-')) {
    Fatal(kExitUsage, "no option {}: try taskmem run --help", program.front());
  }
  // A mark that follows the program is the program's.
  program.insert(program.end(), program.empty() && mark != end ? mark + 1 : mark, end);
  if (program.empty()) Fatal(kExitUsage, "no program given: taskmem run [OPTIONS] -- PROGRAM");
  return run_request;
}

}  // namespace taskmem
