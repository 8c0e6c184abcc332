// Tasks without the API: by thread, by thread name, by inheritance.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr char kByName[] = "thread-name=^task-([0-9]+)";

TEST(TaskBy, Thread) { ExpectSuccess({"task_by", "thread"}, {{"TASKMEM_TASK_BY", "thread"}}); }

TEST(TaskBy, ThreadName) { ExpectSuccess({"task_by", "name"}, {{"TASKMEM_TASK_BY", kByName}}); }

TEST(TaskBy, Rename) {
  ExpectSuccess({"task_by", "rename"},
                {{"TASKMEM_TASK_BY", kByName}, {"TASKMEM_TASK_PER_RENAME", "1"}});
}

class Inherit : public ::testing::TestWithParam<std::string> {};

TEST_P(Inherit, TaskOfTheCreator) {
  ExpectSuccess({"inherit", GetParam()}, {{"TASKMEM_INHERIT", GetParam()}});
}

INSTANTIATE_TEST_SUITE_P(, Inherit, ::testing::Values("until-end", "always", "never"),
                         [](const auto& info) {
                           return info.param == "until-end" ? "until_end" : info.param;
                         });

TEST(InheritDefault, IsUntilTheEnd) { ExpectSuccess({"inherit", "until-end"}); }

}  // namespace
}  // namespace taskmem::test
