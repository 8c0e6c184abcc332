#include "tools/recording_report/report_html.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace taskmem {
namespace {

// What the page is drawn from.
nlohmann::json DataOf(const Recording& recording) {
  const std::string page = FormatPage(recording);
  size_t at = page.find("id=\"data\"");
  at = page.find('>', at) + 1;
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at), nullptr, false);
}

// A recording of so many tasks that grow one after the other, the later the more, each by one site.
Recording Growing(size_t tasks) {
  Recording recording;
  recording.stacks.emplace_back();
  for (size_t i = 0; i < tasks; ++i) {
    const auto us = static_cast<int64_t>(i + 1) * 10;
    RecordedTask& task = recording.tasks.emplace_back();
    task.id = i;
    task.begin_us = us;
    task.quota.push_back({us, UINT64_MAX});
    task.charged.push_back({us, i + 1});
    task.peak_bytes = i + 1;
    RecordedLook& look = recording.looks.emplace_back();
    look.us = us;
    look.sites.push_back({0, i, i + 1});
    if (i != 0) look.sites.push_back({0, i - 1, 1});
    RecordedEvent& event = recording.events.emplace_back();
    event.us = us;
    event.task = i;
  }
  std::vector<const RecordedTask*> all;
  for (const RecordedTask& task : recording.tasks) all.push_back(&task);
  recording.total = TotalOf(all);
  recording.end_us = recording.peak_us = recording.total.empty() ? 0 : recording.total.back().us;
  return recording;
}

uint64_t SumAtEnd(const nlohmann::json& data) {
  uint64_t sum = 0;
  for (const auto& task : data["tasks"]) {
    if (!task["charged"].empty()) sum += task["charged"].back()[1].get<uint64_t>();
  }
  return sum;
}

uint64_t LiveAtEnd(const nlohmann::json& data) {
  std::map<std::pair<int64_t, int64_t>, uint64_t> live;
  for (const auto& look : data["looks"]) {
    for (const auto& site : look["sites"]) live[{site[0], site[1]}] = site[2];
  }
  uint64_t sum = 0;
  for (const auto& [key, bytes] : live) sum += bytes;
  return sum;
}

TEST(ReportHtmlTest, AllOfAFewTasksAreShown) {
  const auto data = DataOf(Growing(5));
  EXPECT_EQ(data["tasks"].size(), 5u);
  EXPECT_EQ(SumAtEnd(data), 15u);
  EXPECT_EQ(LiveAtEnd(data), 4 + 5u);
  EXPECT_TRUE(data["notes"].dump().find("as one") == std::string::npos) << data["notes"];
}

TEST(ReportHtmlTest, SmallTasksOfManyAreOneWhatTheyHoldStays) {
  constexpr size_t kTasks = 6000;
  const Recording recording = Growing(kTasks);
  const auto data = DataOf(recording);
  ASSERT_EQ(data["tasks"].size(), 5000u);
  EXPECT_EQ(data["tasks"].back()["name"], "1001 smaller tasks");
  EXPECT_EQ(data["tasks"][0]["peak"], 1002u);
  EXPECT_EQ(SumAtEnd(data), kTasks * (kTasks + 1) / 2);
  EXPECT_EQ(LiveAtEnd(data), kTasks - 1 + kTasks);
  EXPECT_EQ(data["events"][0][2], 4999u);
  EXPECT_EQ(data["events"][1500][2], 1500u - 1001u);
}

TEST(ReportHtmlTest, ARecordingOfNothingIsAPage) {
  const auto data = DataOf(Recording());
  EXPECT_EQ(data["tasks"].size(), 0u);
  EXPECT_EQ(data["grid"].size(), 1u);
}

}  // namespace
}  // namespace taskmem
