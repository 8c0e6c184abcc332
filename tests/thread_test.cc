// Threads: however they begin and end, and whoever frees what they allocate.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(
    Threads, ({
                 {.name = "c11_threads"},
                 {.name = "cancelled_calls", .writes_errors = true, .data_limit_bytes = 0},
                 {.name = "detached_threads"},
                 {.name = "hand_over"},
                 {.name = "key_count"},
                 {.name = "key_destructors"},
                 {.name = "main_exits_first"},
                 // Address space is not the point here: 2,000 heaps reserve much and use little.
                 {.name = "many_threads", .data_limit_bytes = 0},
                 {.name = "thread_ends"},
                 {.name = "thread_local_destructors"},
             }));

// The library's own threads: where their stacks are, and what stays of them.
struct OwnThreadKind {
  std::string name;
  Environment environment;
};

const OwnThreadKind kOwnThreads[] = {
    {"sampler", {{"TASKMEM_RESIDENCY_INTERVAL", "5ms"}}},
    {"decay", {}},
    {"reclaim", {}},
    {"pager", {{"TASKMEM_OVERFLOW", "1"}, {"TASKMEM_SPILL_DIR", "/var/tmp"}}},
};

class GrowingStack : public ::testing::TestWithParam<OwnThreadKind> {};

TEST_P(GrowingStack, KeepsItsRoomBesideThreadsOfTheLibrary) {
  const OwnThreadKind& kind = GetParam();
  Command plain;
  plain.arguments = {ProgramPath("growing_stack"), kind.name, "2"};
  plain.preload = Preload::kOff;
  const Result result = RunCommand(plain);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  ExpectSuccess({"growing_stack", kind.name, "10"}, kind.environment);
}
INSTANTIATE_TEST_SUITE_P(, GrowingStack, ::testing::ValuesIn(kOwnThreads),
                         [](const auto& info) { return info.param.name; });

TEST(OwnThreads, LeaveNothingWhenTheyEnd) {
  ExpectSuccess({"own_threads", "sampler", "100"}, kOwnThreads[0].environment);
  ExpectSuccess({"own_threads", "decay", "3"}, kOwnThreads[1].environment);
}

TEST(OwnThreads, StartBesideMuchThreadLocalStorage) {
  for (const char* program : {"own_threads_beside_300k", "own_threads_beside_1m"}) {
    ExpectSuccess({program, "sampler", "3"}, kOwnThreads[0].environment);
    ExpectSuccess({program, "decay", "1"}, kOwnThreads[1].environment);
  }
}

}  // namespace
}  // namespace taskmem::test
