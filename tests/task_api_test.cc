// taskmem.h: tasks begin and end, threads attach, books move.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TEST(TaskApi, AnswersBadInputFromC) { ExpectSuccess({"api_errors"}); }

TEST(TaskApi, IsAbsentWithoutThePreload) {
  Command command;
  command.arguments = {ProgramPath("api_absent")};
  command.preload = Preload::kOff;
  const Result result = RunCommand(command);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST(TaskApi, UsageFollowsAllocation) { ExpectSuccess({"usage_moves"}); }

TEST(TaskApi, SaysWhatTheBooksSay) { ExpectSuccess({"task_info"}); }

TEST(TaskApi, ScopesNeedNoExceptions) { ExpectSuccess({"scopes"}); }

TEST(TaskApi, WhatIsLeftStaysChargedAfterTheEnd) { ExpectSuccess({"retained_after_end"}); }

TEST(TaskApi, ThreadsOfAnEndedTaskAreUntracked) { ExpectSuccess({"end_while_working"}); }

TEST(TaskApi, TenThousandTasksAndEverySlot) { ExpectSuccess({"live_tasks"}); }

TEST(TaskApi, AMillionTasksInBoundedMemory) { ExpectSuccess({"million_tasks"}); }

TEST(TaskApi, OwnerOfAnyAddress) { ExpectSuccess({"owner_of"}); }

TEST(TaskApi, SwitchingTasksOften) { ExpectSuccess({"attach_often"}); }

}  // namespace
}  // namespace taskmem::test
