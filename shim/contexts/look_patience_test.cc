#include <gtest/gtest.h>

#include "shim/contexts/contexts_of.h"

namespace taskmem {
namespace {

int RequestsUntilDue(LookPatience* patience) {
  int requests = 0;
  while (!patience->IsDue()) ++requests;
  return requests;
}

TEST(LookPatience, LooksAtFewContextsAreAlwaysDue) {
  LookPatience patience = {};
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(patience.IsDue());
    patience.Note(15, /*gave=*/false);
  }
}

// n requests of n threads cost what n looks at a few contexts cost.
TEST(LookPatience, ALookAtManyThatGaveNothingIsPaidForByRequests) {
  LookPatience patience = {};
  patience.Note(1600, /*gave=*/false);
  EXPECT_EQ(RequestsUntilDue(&patience), 100);
  EXPECT_TRUE(patience.IsDue()) << "until it is noted what the look gave";
  patience.Note(160, /*gave=*/false);
  EXPECT_EQ(RequestsUntilDue(&patience), 10);
}

TEST(LookPatience, ALookThatGaveSomethingIsWorthAnother) {
  LookPatience patience = {};
  patience.Note(1600, /*gave=*/false);
  patience.Note(1600, /*gave=*/true);
  EXPECT_TRUE(patience.IsDue());
}

}  // namespace
}  // namespace taskmem
