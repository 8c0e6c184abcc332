#include "tests/conformance/replay.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/conformance/compare.h"
#include "tests/conformance/step_run.h"
#include "tests/conformance/steps.h"
#include "tests/conformance/world.h"

namespace taskmem::conformance {
namespace {

std::string Mismatch(const std::string& what, const Json& expected, const Json& actual,
                     const std::string& differences) {
  return "  " + what + "\n  expected: " + expected.dump() + "\n  happened: " + actual.dump() +
         "\n" + differences;
}

std::string Describe(const Step& step) {
  return "step " + std::to_string(step.i) + ": " + step.op +
         (step.thread.empty() ? "" : " on " + step.thread) + " " + step.in.dump();
}

using Scripts = std::map<int64_t, std::deque<ScriptedEviction>>;

// What the trace says the evictor did in each step, also while that step waited.
Scripts ScriptsOf(const Trace& trace) {
  Scripts scripts;
  const auto add = [&](int64_t step, const Json& holder) {
    const auto events = holder.find("ev");
    if (events == holder.end()) return;
    for (const Json& event : *events) {
      std::deque<ScriptedEviction>& of_step = scripts[step];
      if (event.contains("evict")) {
        of_step.push_back({event.at("evict"), event.value("asked", int64_t{0}), {}, 0});
      } else if (event.contains("call") && !of_step.empty()) {
        of_step.back().calls.push_back(event);
      } else if (event.contains("evicted") && !of_step.empty()) {
        of_step.back().freed = event.at("evicted").get<int64_t>();
      }
    }
  };
  for (const Step& step : trace.steps) {
    add(step.i, step.expected);
    for (const char* list : {"woken", "waiter_ev"}) {
      for (const Json& entry : step.expected.value(list, Json::array())) {
        add(entry.at("i").get<int64_t>(), entry);
      }
    }
  }
  return scripts;
}

// The steps of one set-up, one after the other.
class Player {
 public:
  explicit Player(Trace trace) : trace_(std::move(trace)), world_(trace_) {
    if (trace_.header.at("cfg").at("evictor") == "script") scripts_ = ScriptsOf(trace_);
  }

  ReplayResult Play();
  // Ends what still waits. False: a thread is stuck, and this must not be destroyed.
  bool End();

 private:
  void Begin(const Step& step);
  void Interrupt(const Step& step);
  Json Happened(const Step& step);
  void AddOutcome(StepRun& run, Json& entry);

  const Trace trace_;
  // Steps in flight. Before the world, whose threads use them.
  std::map<int64_t, std::unique_ptr<StepRun>> runs_;
  World world_;
  Scripts scripts_;  // what is left of them
};

ReplayResult Player::Play() {
  ReplayResult result;
  const Json initial = Normalised({{"st", trace_.header.value("st", Json::object())}});
  const Json built = Normalised({{"st", world_.State()}});
  if (std::string differences = Differences(initial, built); !differences.empty()) {
    result.mismatch = Mismatch("before the first step", initial, built, differences);
    return result;
  }
  for (const Step& step : trace_.steps) {
    world_.ForgetGivenUpTasks();
    Begin(step);
    const bool is_quiet = world_.threads.AwaitQuiescence();
    const Json expected = Normalised(step.expected);
    Json happened = Happened(step);
    if (!is_quiet) happened["stuck"] = "a thread neither returns nor waits";
    happened = Normalised(happened);
    ++result.steps;
    if (std::string differences = Differences(expected, happened); !differences.empty()) {
      result.mismatch = Mismatch(Describe(step), expected, happened, differences);
      return result;
    }
  }
  return result;
}

void Player::Begin(const Step& step) {
  if (step.thread.empty()) throw TraceError(Describe(step) + ": no thread");
  if (world_.threads.IsBusy(step.thread)) throw TraceError(Describe(step) + ": the thread waits");
  const Operation operation = FindOperation(step.op);
  if (operation == nullptr && step.op != "interrupt") {
    throw TraceError(Describe(step) + ": unknown operation");
  }
  StepRun& run = *(runs_[step.i] = std::make_unique<StepRun>(step.i));
  if (const auto scripts = scripts_.find(step.i); scripts != scripts_.end()) {
    run.scripted_evictions = std::move(scripts->second);
  }
  world_.threads.Run(step.thread, [this, &step, &run, operation] {
    const StepRun::Scope scope(run);
    Outcome outcome;
    std::exception_ptr failure;
    try {
      if (operation != nullptr) {
        outcome = operation(world_, run, step.in);
      } else {
        Interrupt(step);
      }
    } catch (...) {
      failure = std::current_exception();
    }
    run.Finish(std::move(outcome), std::move(failure));
  });
}

void Player::Interrupt(const Step& step) {
  const auto run = runs_.find(step.in.value("step", int64_t{0}));
  if (run == runs_.end()) throw TraceError(Describe(step) + ": that step is not blocked");
  world_.Cancel(*run->second->cancellation);
}

void Player::AddOutcome(StepRun& run, Json& entry) {
  try {
    const Outcome outcome = run.TakeOutcome();
    entry["res"] = outcome.res;
    entry["err"] = outcome.err;
  } catch (const std::exception& error) {
    throw TraceError("step " + std::to_string(run.i) + ": " + error.what());
  }
}

// What the trace would say about the step, now that it has ended. Steps that have
// returned are forgotten.
Json Player::Happened(const Step& step) {
  Json happened = {{"ev", Json::array()}, {"woken", Json::array()}, {"waiter_ev", Json::array()}};
  for (auto each = runs_.begin(); each != runs_.end();) {
    StepRun& run = *each->second;
    const bool is_finished = run.is_finished();
    Json events = run.TakeEvents();
    if (run.i == step.i) {
      happened["ev"] = std::move(events);
      happened["blocked"] = !is_finished;
      if (is_finished) AddOutcome(run, happened);
    } else if (is_finished) {
      Json entry = {{"i", run.i}, {"ev", std::move(events)}};
      AddOutcome(run, entry);
      happened["woken"].push_back(std::move(entry));
    } else if (!events.empty()) {
      happened["waiter_ev"].push_back({{"i", run.i}, {"ev", std::move(events)}});
    }
    each = is_finished ? runs_.erase(each) : std::next(each);
  }
  happened["st"] = world_.State();
  return happened;
}

bool Player::End() {
  for (const auto& [i, run] : runs_) {
    if (!run->is_finished()) world_.Cancel(*run->cancellation);
  }
  return world_.threads.AwaitIdle();
}

ReplayResult ReplayConfig(const Trace& trace) {
  ReplayResult result;
  for (const Step& step : trace.steps) {
    const ConfigOperation operation = FindConfigOperation(step.op);
    if (operation == nullptr) throw TraceError(Describe(step) + ": unknown operation");
    Outcome outcome;
    try {
      outcome = operation(trace.header, step.in);
    } catch (const std::exception& error) {
      throw TraceError(Describe(step) + ": " + error.what());
    }
    const Json expected = Normalised(step.expected);
    const Json happened = Normalised({{"res", outcome.res}, {"err", outcome.err}});
    ++result.steps;
    if (std::string differences = Differences(expected, happened); !differences.empty()) {
      result.mismatch = Mismatch(Describe(step), expected, happened, differences);
      return result;
    }
  }
  return result;
}

}  // namespace

ReplayResult Replay(Trace trace) {
  if (!trace.header.contains("cfg")) return ReplayConfig(trace);
  std::unique_ptr<Player> player;
  try {
    player = std::make_unique<Player>(std::move(trace));
  } catch (const Json::exception& error) {
    throw TraceError(std::string("header: ") + error.what());
  }
  ReplayResult result;
  std::exception_ptr failure;
  try {
    result = player->Play();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!player->End()) {
    static_cast<void>(player.release());  // threads that are stuck go on using it
    result.left_thread_behind = true;
  }
  if (failure != nullptr) std::rethrow_exception(failure);
  return result;
}

}  // namespace taskmem::conformance
