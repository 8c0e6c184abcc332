// That the replayer sees what differs: a check that cannot fail is none.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/compare.h"
#include "tests/conformance/directory.h"
#include "tests/conformance/logical_threads.h"
#include "tests/conformance/operations.h"
#include "tests/conformance/replay.h"

namespace taskmem::conformance {
namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const fs::path kData = "tests/conformance/data";

Trace Read(const std::string& name) { return ReadTrace(kData / name); }

std::string TextOf(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string MismatchAfter(Trace trace, const std::function<void(Trace&)>& change) {
  change(trace);
  return Replay(std::move(trace)).mismatch;
}

// Calls `visit` for every number, text, truth and null in `json`, and all that is in it.
void ForEachLeaf(const Json& json, const Json::json_pointer& at,
                 const std::function<void(const Json::json_pointer&)>& visit) {
  if (!json.is_structured() || json.empty()) return visit(at);
  if (json.is_array()) {
    for (size_t i = 0; i < json.size(); ++i) ForEachLeaf(json[i], at / i, visit);
  } else {
    for (const auto& [name, member] : json.items()) ForEachLeaf(member, at / name, visit);
  }
}

Json Changed(const Json& leaf) {
  if (leaf.is_boolean()) return !leaf.get<bool>();
  if (leaf.is_number_integer()) return leaf.get<int64_t>() ^ 1;
  if (leaf.is_string()) return leaf.get<std::string>() + "x";
  return "x";
}

void Remove(Json& from, const Json::json_pointer& at) {
  Json& parent = from.at(at.parent_pointer());
  if (parent.is_array()) {
    parent.erase(std::stoul(at.back()));
  } else {
    parent.erase(at.back());
  }
}

// Every single thing that a step of the trace says, changed and left out, is missed.
class EveryWordCounts : public testing::TestWithParam<const char*> {};

TEST_P(EveryWordCounts, ChangedOrLeftOut) {
  const Trace trace = Read(GetParam());
  ASSERT_THAT(Replay(trace).mismatch, IsEmpty());
  int changes = 0;
  for (size_t i = 0; i < trace.steps.size(); ++i) {
    const Json& recorded = trace.steps[i].expected;
    // What happened before has been tried; a replay of it all each time takes long.
    const auto try_it = [&](const Json& expected, const Json::json_pointer& at) {
      Trace changed = trace;
      changed.steps.resize(i + 1);
      changed.steps[i].expected = expected;
      const std::string mismatch = Replay(std::move(changed)).mismatch;
      EXPECT_THAT(mismatch, HasSubstr("step " + std::to_string(i) + ":")) << at.to_string();
      ++changes;
    };
    ForEachLeaf(recorded, Json::json_pointer(), [&](const Json::json_pointer& at) {
      Json expected = recorded;
      expected[at] = Changed(recorded.at(at));
      try_it(expected, at);
      // The format lets be left out what says nothing.
      expected = recorded;
      Remove(expected, at);
      if (Normalised(expected) != Normalised(recorded)) try_it(expected, at);
    });
  }
  EXPECT_GT(changes, 0);
  RecordProperty("changes", changes);
}

INSTANTIATE_TEST_SUITE_P(Traces, EveryWordCounts,
                         testing::Values("CONS-4.jsonl", "K3.jsonl", "MM-e.jsonl", "P3.jsonl",
                                         "TMM-7.jsonl", "TMM-11.jsonl", "U10.jsonl", "U16.jsonl",
                                         "UNM-4.jsonl", "X3.jsonl", "config-construct.jsonl",
                                         // of the memory store
                                         "B3.jsonl", "B5.jsonl", "M3.jsonl", "M6.jsonl",
                                         "M10-3.jsonl", "M11.jsonl", "MS-1.jsonl", "MS-5.jsonl",
                                         "MS-8.jsonl", "MS-15.jsonl", "PU.jsonl",
                                         "PS-values-close-off.jsonl", "UNM-10.jsonl",
                                         "config-levels.jsonl"));

// A thread that went on in the step may be answered before another one's line or after.
TEST(Normalised, LinesOfAMomentWhereAnotherThreadWentOn) {
  const auto step = [](const char* line, Json woken) {
    return Normalised({{"ev", {{{"log", "DEBUG"}, {"msg", line}}}}, {"woken", std::move(woken)}});
  };
  const Json woken = {{{"i", 1}, {"res", 5}}};
  const char* const before = "Block rdd_1_1 of size 9 dropped from memory (free 17)";
  const char* const after = "Block rdd_1_1 of size 9 dropped from memory (free 12)";
  EXPECT_NE(step(before, nullptr), step(after, nullptr));
  EXPECT_EQ(step(before, woken), step(after, woken));
  EXPECT_NE(step(before, woken), step("Will not store rdd_1_1", woken));
}

TEST(Replay, EventsHaveAnOrder) {
  EXPECT_THAT(MismatchAfter(Read("TMM-7.jsonl"),
                            [](Trace& trace) {
                              Json& events = trace.steps.at(9).expected.at("ev");
                              std::swap(events.at(0), events.at(1));
                            }),
              HasSubstr("step 9:"));
}

TEST(Replay, WhatIsNotRecordedMustNotHappen) {
  const Trace trace = Read("MM-e.jsonl");
  const auto without = [&](const char* member) {
    return MismatchAfter(trace, [&](Trace& t) { t.steps.back().expected.erase(member); });
  };
  for (const char* member : {"res", "ev", "woken", "st"}) {
    EXPECT_THAT(without(member), HasSubstr("step 6:")) << member;
  }
  EXPECT_THAT(MismatchAfter(trace, [](Trace& t) { t.steps.at(5).expected.erase("blocked"); }),
              HasSubstr("step 5:"));
}

TEST(Replay, WhatIsRecordedMustHappen) {
  const Trace trace = Read("MM-e.jsonl");
  const auto with = [&](const char* member, const Json& value) {
    return MismatchAfter(trace, [&](Trace& t) { t.steps.at(4).expected[member] = value; });
  };
  const Json event = {{"log", "INFO"}, {"msg", "m"}};
  EXPECT_THAT(with("ev", {event}), HasSubstr("step 4:"));
  EXPECT_THAT(with("blocked", true), HasSubstr("step 4:"));
  EXPECT_THAT(with("woken", {{{"i", 1}, {"res", 1}}}), HasSubstr("step 4:"));
  EXPECT_THAT(with("waiter_ev", {{{"i", 1}, {"ev", {event}}}}), HasSubstr("step 4:"));
  EXPECT_THAT(with("err", {{"class", "java.lang.Error"}}), HasSubstr("step 4:"));
}

TEST(Replay, TheStateAtFirstCounts) {
  EXPECT_THAT(
      MismatchAfter(Read("U3.jsonl"), [](Trace& trace) { trace.header["st"]["on"][2] = 501; }),
      HasSubstr("before the first step"));
}

// A trace of a running Spark: its evictor does what the trace says, with execution memory
// that moves accordingly.
TEST(Replay, ScriptsCount) {
  const Trace trace = Read("wild-cache-sort.jsonl.gz");
  ASSERT_THAT(Replay(trace).mismatch, IsEmpty());
  for (const char* member : {"asked", "evicted", "bytes"}) {
    EXPECT_THAT(MismatchAfter(trace,
                              [&](Trace& changed) {
                                for (Step& step : changed.steps) {
                                  for (Json& event : step.expected["ev"]) {
                                    const int64_t bytes = event.value(member, int64_t{0});
                                    if (bytes == 0) continue;
                                    event[member] = bytes - 1;
                                    return;
                                  }
                                }
                              }),
                Not(IsEmpty()))
        << member;
  }
}

TEST(Replay, AMismatchShowsStepAndBothStates) {
  const std::string mismatch = MismatchAfter(
      Read("U3.jsonl"), [](Trace& trace) { trace.steps.at(1).expected["st"]["on"][1] = 99; });
  EXPECT_THAT(mismatch, HasSubstr("step 1: acquire_execution on T0 {"));
  EXPECT_THAT(mismatch, HasSubstr("expected: {\"res\":100,\"st\":{\"exec_on\":{\"0\":100},"
                                  "\"on\":[250,99,750,750]}}"));
  EXPECT_THAT(mismatch, HasSubstr("happened: {\"res\":100,\"st\":{\"exec_on\":{\"0\":100},"
                                  "\"on\":[250,100,750,750]}}"));
  EXPECT_THAT(mismatch, HasSubstr("/st/on/1: 99 expected, 100 happened"));
}

TEST(Replay, RefusesWhatMakesNoSense) {
  const Trace trace = Read("MM-e.jsonl");
  const auto change = [&](const std::function<void(Trace&)>& how) {
    return [&trace, how] { MismatchAfter(trace, how); };
  };
  EXPECT_THROW(change([](Trace& t) { t.steps[0].op = "tmm_old"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[0].thread = ""; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[1].in["behaviour"] = "odd"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[1].in["mode"] = "HEAP"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[1].in["task"] = 7; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[4].in["consumer"] = "c9"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[4].in["bytes"] = "many"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[4].in.erase("consumer"); })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.steps[6].thread = "T2"; })(), TraceError) << "T2 waits";
  EXPECT_THROW(change([](Trace& t) { t.header["cfg"]["evictor"] = "odd"; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.header["cfg"]["storage_region"] = 1000; })(), TraceError);
  EXPECT_THROW(change([](Trace& t) { t.header["cfg"].erase("page_size"); })(), TraceError);
  EXPECT_THROW(change([](Trace& t) {
                 t.steps[6].op = "interrupt";
                 t.steps[6].thread = "M";
                 t.steps[6].in = {{"step", 4}};
               })(),
               TraceError)
      << "step 4 is not blocked";
  Trace config = Read("config-text.jsonl");
  config.steps[0].op = "texts";
  EXPECT_THROW(Replay(config), TraceError);
}

TEST(Normalised, LeavesOutWhatSaysNothing) {
  const Json wordy = {{"res", nullptr},
                      {"blocked", false},
                      {"ev", Json::array()},
                      {"woken", {{{"i", 1}, {"res", {{"object", nullptr}, {"number", 0}}}}}},
                      {"st", {{"on", {0, 0}}, {"cons", Json::object()}}}};
  EXPECT_EQ(Normalised(wordy), Json({{"woken", {{{"i", 1}}}}, {"st", {{"on", {0, 0}}}}}));
}

TEST(Normalised, KeepsKeysThatAreData) {
  const Json step = {{"st", {{"exec_on", {{"1", 0}}}}}};
  EXPECT_EQ(Normalised(step), step);
}

TEST(Normalised, SortsStepsThatReturned) {
  EXPECT_EQ(Normalised({{"woken", {{{"i", 2}}, {{"i", 1}}}}}),
            Json({{"woken", {{{"i", 1}}, {{"i", 2}}}}}));
}

// Who settles already waits for who settles later, which must not wait for it: in whichever
// order they come to wait.
TEST(LogicalThreads, SettlingIgnoresWhoSettlesAlready) {
  std::promise<void> outer_lets_go_on;
  std::promise<void> inner_waits;
  bool has_looked = false;
  LogicalThreads threads([&] {
    if (!std::exchange(has_looked, true)) inner_waits.set_value();
    return 0;
  });
  bool inner_settled = false;
  bool outer_settled = false;
  threads.Run("inner", [&] {
    outer_lets_go_on.get_future().wait();
    LogicalThreads::Settling settling(threads);
    inner_settled = settling.Await();
  });
  threads.Run("outer", [&] {
    LogicalThreads::Settling settling(threads);
    outer_lets_go_on.set_value();
    inner_waits.get_future().wait();
    outer_settled = settling.Await();
    EXPECT_TRUE(inner_settled) << "who settles later is waited for";
  });
  EXPECT_TRUE(threads.AwaitIdle());
  EXPECT_TRUE(inner_settled);
  EXPECT_TRUE(outer_settled);
}

class Files : public testing::Test {
 protected:
  Files() : directory_(fs::path(testing::TempDir()) / "replayer_test") {
    fs::remove_all(directory_);
    fs::create_directories(directory_ / "below");
  }
  ~Files() override { fs::remove_all(directory_); }

  fs::path Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }

  fs::path WriteGzip(const std::string& name, const std::string& text) {
    const fs::path path = directory_ / name;
    const gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
    gzclose(file);
    return path;
  }

  Totals ReplayAll() { return ReplayDirectory(directory_, out_, progress_); }

  const fs::path directory_;
  const std::string good_ = TextOf(kData / "U3.jsonl");
  std::ostringstream out_;
  std::ostringstream progress_;
};

TEST_F(Files, GoodOnesAreRead) {
  EXPECT_EQ(ReadTrace(Write("a.jsonl", good_)).steps.size(), 7u);
  EXPECT_EQ(ReadTrace(WriteGzip("a.jsonl.gz", good_)).steps.size(), 7u);
}

TEST_F(Files, BadOnesAreNot) {
  const std::string header = good_.substr(0, good_.find('\n') + 1);
  const std::string first_step = R"({"i":0,"op":"query","thr":"M"})"
                                 "\n";
  EXPECT_EQ(ParseTrace(header + first_step).steps.size(), 1u);

  const auto reading = [this](const std::string& text) {
    return [path = Write("a.jsonl", text)] { ReadTrace(path); };
  };
  EXPECT_THROW(reading("")(), TraceError);
  EXPECT_THROW(reading(header)(), TraceError) << "no steps";
  EXPECT_THROW(reading(first_step)(), TraceError) << "no header";
  EXPECT_THROW(reading(good_.substr(0, good_.size() / 2))(), TraceError) << "cut";
  EXPECT_THROW(reading(good_.substr(0, good_.size() - 1))(), TraceError) << "cut by one";
  EXPECT_THROW(reading(header + "\n" + first_step)(), TraceError) << "an empty line";
  EXPECT_THROW(reading(header + first_step + first_step)(), TraceError) << "0 twice";
  EXPECT_THROW(reading(header + R"({"i":1,"op":"query","thr":"M"})"
                                "\n")(),
               TraceError);
  EXPECT_THROW(reading(header + R"({"i":0,"thr":"M"})"
                                "\n")(),
               TraceError)
      << "no operation";
  EXPECT_THROW(reading(header + R"({"i":0,"op":"query","odd":1})"
                                "\n")(),
               TraceError);
  EXPECT_THROW(reading(header + "[]\n")(), TraceError);
  EXPECT_THROW(reading(R"({"format":"spark-memory-trace","version":2})"
                       "\n" +
                       first_step)(),
               TraceError);
  EXPECT_THROW(ReadTrace(directory_ / "absent.jsonl"), TraceError);
}

TEST_F(Files, BadGzipIsNot) {
  const std::string gzip = TextOf(WriteGzip("a.jsonl.gz", good_));
  const auto reading = [this](const std::string& bytes) {
    return [path = Write("b.jsonl.gz", bytes)] { ReadTrace(path); };
  };
  EXPECT_THROW(reading(gzip.substr(0, gzip.size() / 2))(), TraceError) << "cut";
  EXPECT_THROW(reading(gzip.substr(0, gzip.size() - 4))(), TraceError) << "no length at its end";
  std::string damaged = gzip;
  damaged[damaged.size() / 2] ^= 0x55;
  EXPECT_THROW(reading(damaged)(), TraceError);
  EXPECT_THROW(reading(good_)(), TraceError) << "not gzip at all";
}

TEST_F(Files, AllAreReplayedWhateverOneIsLike) {
  std::string wrong = good_;
  wrong.replace(wrong.find("\"res\":true"), 10, "\"res\":false");
  std::string unknown = good_;
  unknown.replace(unknown.find("acquire_storage"), 15, "acquire_nothing");
  Write("a.jsonl", wrong);
  Write("b.jsonl", unknown);
  Write("c.jsonl", "{");
  WriteGzip("below/d.jsonl.gz", good_);
  Write("below/e.txt", "not a trace");
  fs::create_symlink("nowhere", directory_ / "f.jsonl");

  const Totals totals = ReplayAll();
  EXPECT_EQ(totals.traces, 5);
  EXPECT_EQ(totals.mismatches, 1);
  EXPECT_EQ(totals.unreadable, 3);
  EXPECT_EQ(totals.AllSkipped(), 0);
  EXPECT_EQ(totals.steps, 1 + 7);
  EXPECT_FALSE(totals.Succeeded());
  EXPECT_THAT(out_.str(), HasSubstr("mismatch in " + (directory_ / "a.jsonl").native()));
  for (const char* name : {"b.jsonl", "c.jsonl", "f.jsonl"}) {
    EXPECT_THAT(out_.str(), HasSubstr("cannot read " + (directory_ / name).native()));
  }
  EXPECT_THAT(out_.str(), Not(HasSubstr("d.jsonl.gz")));
  WriteTotals(totals, out_);
  EXPECT_THAT(out_.str(), EndsWith("\ntraces 5, steps 8, mismatches 1, skipped 0\n"));
}

TEST_F(Files, SomeMayBeSkipped) {
  std::string late = good_;
  late.insert(1, R"("tags":["late_wakes"],)");
  Write("a.jsonl", good_);
  Write("b.jsonl", late);

  const Totals totals = ReplayAll();
  EXPECT_EQ(totals.skipped.size(), 1u);
  EXPECT_TRUE(totals.Succeeded());
  WriteTotals(totals, out_);
  EXPECT_THAT(out_.str(), EndsWith("\ntraces 2, steps 7, mismatches 0, skipped 1\n"));
}

TEST_F(Files, NoTracesAreNoSuccess) {
  EXPECT_FALSE(ReplayAll().Succeeded());
  EXPECT_THROW(ReplayDirectory(directory_ / "absent", out_, progress_), fs::filesystem_error);
}

TEST_F(Files, OneTraceMayBeGiven) {
  const Totals totals = ReplayDirectory(Write("a.jsonl", good_), out_, progress_);
  EXPECT_EQ(totals.traces, 1);
  EXPECT_TRUE(totals.Succeeded());
}

TEST(CommittedTraces, AreReplayed) {
  std::ostringstream out;
  const Totals totals = ReplayDirectory(kData, out, out);
  EXPECT_TRUE(totals.Succeeded()) << out.str();
  EXPECT_GT(totals.traces, 20);
  EXPECT_EQ(totals.AllSkipped(), 0);
}

}  // namespace
}  // namespace taskmem::conformance
