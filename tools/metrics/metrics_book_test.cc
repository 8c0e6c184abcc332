#include "tools/metrics/metrics_book.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tools/metrics/metrics_server.h"

namespace taskmem {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TaskStats Task(uint64_t id, const std::string& name, uint64_t charged, uint64_t refusals) {
  TaskStats task;
  task.id = id;
  task.name = name;
  task.charged_bytes = charged;
  task.peak_charged_bytes = charged;
  task.refusals = refusals;
  return task;
}

ProcessStats Process(pid_t pid, std::vector<TaskStats> tasks) {
  ProcessStats process;
  process.pid = pid;
  process.start_time = 7;
  process.program = "/usr/bin/engine";
  process.tasks = std::move(tasks);
  return process;
}

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

std::string Sample(const std::string& family, const std::string& program, const std::string& task,
                   uint64_t value) {
  return fmt::format("{}{{program=\"{}\",task=\"{}\"}} {}", family, program, task, value);
}

TEST(MetricsBook, CountersGoOnWhenTasksAndProcessesEnd) {
  MetricsBook book;
  book.Update({Process(1, {Task(1, "query", 100, 5)})}, kSecond);
  EXPECT_TRUE(Has(book.Text(MetricsFormat::kPrometheus),
                  Sample("taskmem_task_refusals_total", "engine", "query", 5)));
  // The task ends, another one has its name and then its id.
  book.Update({Process(1, {Task(2, "query", 100, 3)})}, 2 * kSecond);
  EXPECT_TRUE(Has(book.Text(MetricsFormat::kPrometheus),
                  Sample("taskmem_task_refusals_total", "engine", "query", 8)));
  book.Update({Process(1, {Task(2, "query", 100, 1)})}, 3 * kSecond);
  EXPECT_TRUE(Has(book.Text(MetricsFormat::kPrometheus),
                  Sample("taskmem_task_refusals_total", "engine", "query", 9)));
  book.Update({}, 4 * kSecond);
  const std::string text = book.Text(MetricsFormat::kPrometheus);
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "engine", "query", 9))) << text;
  EXPECT_TRUE(Has(text, Sample("taskmem_task_charged_bytes", "engine", "query", 0))) << text;
  EXPECT_TRUE(Has(text, "taskmem_processes 0")) << text;
}

TEST(MetricsBook, TheSmallestNamesAreOne) {
  MetricsBook book(2);
  std::vector<TaskStats> tasks;
  for (uint64_t id = 1; id <= 100; ++id) {
    tasks.push_back(Task(id, fmt::format("query {}", id), id * 10, 1));
  }
  book.Update({Process(1, tasks)}, kSecond);
  std::string text = book.Text(MetricsFormat::kPrometheus);
  EXPECT_TRUE(Has(text, Sample("taskmem_task_charged_bytes", "engine", "query 100", 1000))) << text;
  EXPECT_TRUE(Has(text, Sample("taskmem_task_charged_bytes", "engine", "query 99", 990))) << text;
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "other", "other", 98))) << text;
  EXPECT_EQ(text.find("query 98"), std::string::npos);
  // Names of long ago make room, and what they counted stays counted.
  const uint64_t later = kSecond + MetricsBook::kForgetAfterNs;
  book.Update({Process(2, {Task(1, "new", 5, 2)})}, later);
  text = book.Text(MetricsFormat::kPrometheus);
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "engine", "new", 2))) << text;
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "other", "other", 100))) << text;
}

TEST(MetricsBook, NoSeriesIsThereTwice) {
  MetricsBook book;
  std::vector<TaskStats> tasks = {Task(1, "a\001", 1, 1), Task(2, "a\002", 2, 2),
                                  Task(3, "other", 3, 3)};
  ProcessStats process = Process(1, tasks);
  process.program = "/bin/other";
  book.Update({process}, kSecond);
  const std::string text = book.Text(MetricsFormat::kPrometheus);
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "other", "a?", 3))) << text;
  EXPECT_TRUE(Has(text, Sample("taskmem_task_refusals_total", "other", "other", 3))) << text;
  std::set<std::string> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    EXPECT_TRUE(series.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
}

TEST(MetricsBook, ProcessesAreBounded) {
  MetricsBook book;
  std::vector<ProcessStats> processes;
  for (pid_t pid = 1; pid <= 600; ++pid) processes.push_back(Process(pid, {}));
  book.Update(processes, kSecond);
  const std::string text = book.Text(MetricsFormat::kPrometheus);
  EXPECT_TRUE(Has(text, "taskmem_processes 600"));
  EXPECT_TRUE(Has(text, "taskmem_processes_without_series 100"));
  EXPECT_EQ(text.find("pid=\"501\""), std::string::npos);
}

TEST(MetricsText, LabelsAreEscaped) {
  EXPECT_EQ(LabelValue("a\"b\\c"), "a\\\"b\\\\c");
  EXPECT_EQ(LabelValue("line\nbreak\033[2J"), "line?break?[2J");
  EXPECT_EQ(LabelValue("bad \xff byte"), "bad ? byte");
  EXPECT_EQ(LabelValue("größer"), "größer");
  EXPECT_LE(LabelValue(std::string(1000, 'x')).size(), 103u);
  MetricsText text(MetricsFormat::kOpenMetrics);
  text.BeginCounter("x", "", "Of x.");
  text.Add({{"task", "}\" 1\nevil 2"}}, uint64_t{3});
  EXPECT_EQ(text.Take(),
            "# HELP x Of x.\n# TYPE x counter\nx_total{task=\"}\\\" 1?evil 2\"} 3\n# EOF\n");
}

TEST(ListenAddressOf, IsAnAddressInNumbers) {
  const auto host = [](const char* text) {
    const auto address = ParseListenAddress(text);
    return address ? fmt::format("{} {}", address->host, address->port) : "none";
  };
  EXPECT_EQ(host("127.0.0.1:9469"), "127.0.0.1 9469");
  EXPECT_EQ(host("[::1]:1"), "::1 1");
  EXPECT_EQ(host(":9469"), ":: 9469");
  EXPECT_EQ(host("9469"), "127.0.0.1 9469");
  EXPECT_EQ(host("localhost:0"), "127.0.0.1 0");
  for (const char* bad : {"", ":", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "1.2.3:4",
                          "host.example:80", "127.0.0.1:-1", "127.0.0.1:80x", "[::1]", "::1:x"}) {
    EXPECT_EQ(host(bad), "none") << bad;
  }
}

}  // namespace
}  // namespace taskmem
