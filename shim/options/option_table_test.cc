#include "shim/options/option_table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <string>

namespace taskmem {
namespace {

const OptionInfo& Find(const std::string& name) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    if (name == kOptions[i].name) return kOptions[i];
  }
  ADD_FAILURE() << "no option " << name;
  return kOptions[0];
}

TEST(Options, TableIsWellFormed) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionInfo& option = kOptions[i];
    std::string variable = std::string("TASKMEM_") + option.name;
    for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(toupper(c));
    EXPECT_EQ(variable, option.variable);
    EXPECT_EQ(std::string(option.sentence).back(), '.') << option.name;
  }
}

TEST(Options, DefaultsOfTheTableAreThoseOfTheStruct) {
  Options parsed;
  for (size_t i = 0; i < kOptionCount; ++i) {
    if (*kOptions[i].default_value == '\0') continue;
    EXPECT_TRUE(kOptions[i].parse(kOptions[i].default_value, &parsed)) << kOptions[i].name;
  }
  const Options defaults;
  EXPECT_EQ(parsed.task_by, defaults.task_by);
  EXPECT_EQ(parsed.task_per_rename, defaults.task_per_rename);
  EXPECT_EQ(parsed.inherit, defaults.inherit);
  EXPECT_EQ(parsed.quota_bytes, defaults.quota_bytes);
  EXPECT_EQ(parsed.memory_bytes, defaults.memory_bytes);
  EXPECT_EQ(parsed.storage_fraction, defaults.storage_fraction);
  EXPECT_EQ(parsed.share, defaults.share);
  EXPECT_EQ(parsed.at_limit, defaults.at_limit);
  EXPECT_EQ(parsed.refuse_min_bytes, defaults.refuse_min_bytes);
  EXPECT_EQ(parsed.refusal_budget, defaults.refusal_budget);
  EXPECT_EQ(parsed.at_budget, defaults.at_budget);
  EXPECT_STREQ(parsed.profile, defaults.profile);
  EXPECT_EQ(parsed.redirect_libc, defaults.redirect_libc);
}

TEST(Options, StoresValues) {
  Options options;
  EXPECT_TRUE(Find("task-by").parse("thread-name=(a{1,30}|[({]{3}[^]+]{9,}b+)*\\{{2}", &options));
  EXPECT_TRUE(Find("task-by").parse("none", &options));
  EXPECT_EQ(options.task_by, TaskBy::kNone);
  EXPECT_TRUE(Find("task-by").parse("thread-name=^work(er)?-[0-9]+$", &options));
  EXPECT_EQ(options.task_by, TaskBy::kThreadName);
  EXPECT_STREQ(options.thread_name_regex, "^work(er)?-[0-9]+$");
  EXPECT_TRUE(Find("task-by").parse("thread", &options));
  EXPECT_EQ(options.task_by, TaskBy::kThread);
  EXPECT_TRUE(Find("task-per-rename").parse("1", &options));
  EXPECT_TRUE(options.task_per_rename);
  EXPECT_TRUE(Find("inherit").parse("never", &options));
  EXPECT_EQ(options.inherit, Inherit::kNever);
  EXPECT_TRUE(Find("quota").parse("64M", &options));
  EXPECT_EQ(options.quota_bytes, 64u << 20);
  EXPECT_TRUE(Find("memory").parse("1.5G", &options));
  EXPECT_EQ(options.memory_bytes, uint64_t{3} << 29);
  EXPECT_TRUE(Find("memory").parse("none", &options));
  EXPECT_EQ(options.memory_bytes, UINT64_MAX);
  EXPECT_TRUE(Find("memory").parse("container", &options));
  EXPECT_EQ(options.memory_bytes, 0u);
  for (const auto& [text, fraction] :
       {std::pair("0", 0.0), {"0.0", 0.0}, {".25", 0.25}, {"0.75", 0.75}, {"0.999", 0.999}}) {
    EXPECT_TRUE(Find("storage-fraction").parse(text, &options)) << text;
    EXPECT_EQ(options.storage_fraction, fraction);
  }
  EXPECT_TRUE(Find("share").parse("spark", &options));
  EXPECT_EQ(options.share, Sharing::kSpark);
  EXPECT_TRUE(Find("share").parse("fair", &options));
  EXPECT_EQ(options.share, Sharing::kFair);
  EXPECT_TRUE(Find("share").parse("none", &options));
  EXPECT_EQ(options.share, Sharing::kNone);
  options.memory_bytes = 1;
  EXPECT_EQ(SharingOf(options), Sharing::kNone);
  // The default: only where somebody said how much there is.
  EXPECT_TRUE(Find("share").parse("auto", &options));
  EXPECT_EQ(SharingOf(options), Sharing::kFair);
  for (const uint64_t no_size : {uint64_t{0}, UINT64_MAX}) {
    options.memory_bytes = no_size;
    EXPECT_EQ(SharingOf(options), Sharing::kNone);
  }
  EXPECT_TRUE(Find("at-limit").parse("kill", &options));
  EXPECT_EQ(options.at_limit, AtLimit::kKill);
  EXPECT_FALSE(options.refuse_min_given);
  EXPECT_TRUE(Find("refuse-min").parse("0", &options));
  EXPECT_TRUE(options.refuse_min_given);
  EXPECT_EQ(options.refuse_min_bytes, 0u);
  EXPECT_TRUE(Find("refusal-budget").parse("3", &options));
  EXPECT_EQ(options.refusal_budget, 3u);
  EXPECT_TRUE(Find("at-budget").parse("kill", &options));
  EXPECT_EQ(options.at_budget, AtBudget::kKill);
  EXPECT_TRUE(Find("soft-limit").parse("80%", &options));
  EXPECT_EQ(options.soft_limit_percent, 80u);
  EXPECT_TRUE(Find("soft-limit").parse("none", &options));
  EXPECT_EQ(options.soft_limit_percent, 0u);
  EXPECT_TRUE(Find("spill-timeout").parse("250ms", &options));
  EXPECT_EQ(options.spill_timeout_ns, 250'000'000);
  EXPECT_TRUE(Find("wait").parse("2s", &options));
  EXPECT_EQ(options.wait_ns, 2'000'000'000);
  EXPECT_TRUE(Find("plugin").parse("libhooks.so", &options));
  EXPECT_STREQ(options.plugin, "libhooks.so");
  EXPECT_TRUE(Find("spill-dir").parse("/var/tmp/x", &options));
  EXPECT_STREQ(options.spill_dir, "/var/tmp/x");
  EXPECT_TRUE(Find("spill-fsync").parse("on", &options));
  EXPECT_TRUE(options.spill_fsync);
  EXPECT_TRUE(Find("spill-compress").parse("lz4", &options));
  EXPECT_EQ(options.spill_compress, SpillCodec::kLz4);
  EXPECT_TRUE(Find("overflow").parse("1", &options));
  EXPECT_EQ(options.overflow, Overflow::kOn);
  EXPECT_TRUE(Find("overflow").parse("0", &options));
  EXPECT_EQ(options.overflow, Overflow::kOff);
  EXPECT_TRUE(Find("overflow-size").parse("4G", &options));
  EXPECT_EQ(options.overflow_size_bytes, uint64_t{4} << 30);
  EXPECT_TRUE(Find("overflow-size").parse("4M", &options));
  EXPECT_EQ(options.overflow_size_bytes, uint64_t{4} << 20);
  EXPECT_TRUE(Find("overflow-size").parse("half", &options));
  EXPECT_EQ(options.overflow_size_bytes, 0u);
  EXPECT_TRUE(Find("at-thrashing").parse("refuse", &options));
  EXPECT_EQ(options.at_thrashing, AtThrashing::kRefuse);
  EXPECT_TRUE(Find("log").parse("/tmp/log", &options));
  EXPECT_STREQ(options.log_file, "/tmp/log");
  EXPECT_TRUE(Find("log-level").parse("debug", &options));
  EXPECT_EQ(options.log_level, LogLevel::kDebug);
  EXPECT_TRUE(Find("profile").parse("java", &options));
  EXPECT_STREQ(options.profile, "java");
  EXPECT_TRUE(Find("redirect-libc").parse("off", &options));
  EXPECT_FALSE(options.redirect_libc);
  EXPECT_TRUE(Find("adopt").parse("require=duckdb,polars", &options));
  EXPECT_EQ(options.adopt, Adopt::kRequire);
  EXPECT_STREQ(options.adopt_names, "duckdb,polars");
  EXPECT_TRUE(Find("adopt").parse("require", &options));
  EXPECT_STREQ(options.adopt_names, "");
  EXPECT_TRUE(Find("adopt").parse("off", &options));
  EXPECT_EQ(options.adopt, Adopt::kOff);
  EXPECT_TRUE(Find("pool-threads").parse("untracked", &options));
  EXPECT_EQ(options.pool_threads, PoolThreads::kUntracked);
  EXPECT_TRUE(Find("stats-dir").parse("/tmp/x", &options));
  EXPECT_STREQ(options.stats_dir, "/tmp/x");
}

TEST(Options, BadValuesChangeNothing) {
  const std::string long_text(300, 'x');
  const std::pair<const char*, std::string> kBad[] = {
      {"task-by", "core"},
      {"task-by", "thread-name="},
      {"task-by", "thread-name=("},
      // Gigabytes, if they were compiled.
      {"task-by", "thread-name=((a{1,99}){1,99}){1,99}"},
      {"task-by", "thread-name=a{1,32767}"},
      {"task-by", "thread-name=((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"},
      {"task-by", "thread-name=((((((a{,99}){,99}){9}){9}"},
      {"task-by", "thread-name=" + long_text},
      {"task-per-rename", "yes"},
      {"inherit", "sometimes"},
      {"quota", "0"},
      {"quota", "0K"},
      {"quota", "much"},
      {"memory", "0"},
      {"memory", "0.0G"},
      {"memory", "-1"},
      {"memory", "half"},
      {"memory", "16E"},
      {"storage-fraction", "1"},
      {"storage-fraction", "1.0"},
      {"storage-fraction", "0.99999999999999999999"},
      {"storage-fraction", "-0.5"},
      {"storage-fraction", "+0.5"},
      {"storage-fraction", "50%"},
      {"storage-fraction", "."},
      {"storage-fraction", ""},
      {"storage-fraction", "0.5.1"},
      {"storage-fraction", "5e-1"},
      {"storage-fraction", "nan"},
      {"storage-fraction", "0x0.8"},
      {"storage-fraction", " 0.5"},
      {"share", "Spark"},
      {"share", "equal"},
      {"share", ""},
      {"at-limit", "Refuse"},
      {"refuse-min", "-1"},
      {"refusal-budget", "12x"},
      {"refusal-budget", ""},
      {"at-budget", "refuse"},
      {"soft-limit", "80"},
      {"soft-limit", "0%"},
      {"soft-limit", "100%"},
      {"soft-limit", "80%%"},
      {"spill-timeout", "1"},
      {"spill-timeout", "1h"},
      {"spill-timeout", "-1s"},
      {"spill-timeout", "99999999999999s"},
      {"wait", "forever"},
      {"plugin", long_text},
      {"spill-dir", ""},
      {"spill-fsync", "1"},
      {"spill-compress", "zip"},
      {"overflow", "yes"},
      {"overflow-size", "0"},
      {"overflow-size", "4095K"},
      {"overflow-size", "4194303"},
      {"at-thrashing", "stop"},
      {"log", "relative/" + long_text},
      {"log-level", "loud"},
      {"profile", "cobol"},
      {"redirect-libc", "1"},
      {"stats-dir", ""},
      {"pool-threads", "shared"},
      {"adopt", "on"},
      {"adopt", "require="},
      {"adopt", "require=" + long_text},
      {"stats-dir", "/" + long_text},
  };
  const Options untouched{};
  for (const auto& [name, value] : kBad) {
    Options options{};
    EXPECT_FALSE(Find(name).parse(value.c_str(), &options)) << name << " " << value;
    EXPECT_EQ(options.task_by, untouched.task_by);
    EXPECT_STREQ(options.thread_name_regex, untouched.thread_name_regex);
    EXPECT_EQ(options.quota_bytes, untouched.quota_bytes);
    EXPECT_EQ(options.memory_bytes, untouched.memory_bytes);
    EXPECT_EQ(options.storage_fraction, untouched.storage_fraction);
    EXPECT_EQ(options.share, untouched.share);
    EXPECT_EQ(options.refuse_min_given, untouched.refuse_min_given);
    EXPECT_EQ(options.refusal_budget, untouched.refusal_budget);
    EXPECT_STREQ(options.stats_dir, untouched.stats_dir);
    EXPECT_EQ(options.soft_limit_percent, untouched.soft_limit_percent);
    EXPECT_EQ(options.spill_timeout_ns, untouched.spill_timeout_ns);
    EXPECT_EQ(options.overflow_size_bytes, untouched.overflow_size_bytes);
  }
}

class EnvironmentTest : public testing::Test {
 protected:
  void SetUp() override { Clear(); }
  void TearDown() override { Clear(); }

  bool Parse() { return ParseOptionsFromEnvironment(&options_, error_, sizeof(error_)); }

  Options options_;
  char error_[256] = "";

 private:
  static void Clear() {
    for (size_t i = 0; i < kOptionCount; ++i) unsetenv(kOptions[i].variable);
  }
};

TEST_F(EnvironmentTest, ReadsEveryVariable) {
  setenv("TASKMEM_QUOTA", "1M", 1);
  setenv("TASKMEM_AT_LIMIT", "overdraw", 1);
  setenv("TASKMEM_MEMORY", "2M", 1);
  setenv("TASKMEM_STORAGE_FRACTION", "0.25", 1);
  setenv("TASKMEM_SHARE", "spark", 1);
  setenv("TASKMEM_PROFILE", "", 1);
  ASSERT_TRUE(Parse()) << error_;
  EXPECT_EQ(options_.quota_bytes, 1u << 20);
  EXPECT_EQ(options_.at_limit, AtLimit::kOverdraw);
  EXPECT_EQ(options_.memory_bytes, 2u << 20);
  EXPECT_EQ(options_.storage_fraction, 0.25);
  EXPECT_EQ(options_.share, Sharing::kSpark);
  EXPECT_STREQ(options_.profile, "auto");
}

TEST_F(EnvironmentTest, NamesTheBadVariable) {
  setenv("TASKMEM_AT_LIMIT", "explode", 1);
  EXPECT_FALSE(Parse());
  EXPECT_STREQ(error_,
               "bad value 'explode' for TASKMEM_AT_LIMIT: expected refuse, overdraw or kill");
}

TEST_F(EnvironmentTest, CutsALongComplaint) {
  setenv("TASKMEM_AT_LIMIT", std::string(1000, 'x').c_str(), 1);
  EXPECT_FALSE(Parse());
  EXPECT_EQ(strlen(error_), sizeof(error_) - 1);
}

TEST(Options, RelativePathsAreTakenFromTheCurrentFolder) {
  const std::string folder = std::filesystem::current_path();
  Options options{};
  ASSERT_TRUE(Find("log").parse("a/b.log", &options));
  EXPECT_EQ(options.log_file, folder + "/a/b.log");
  ASSERT_TRUE(Find("spill-dir").parse(".", &options));
  EXPECT_EQ(options.spill_dir, folder + "/.");
}

// Help prints each heading once.
TEST(Options, OfAGroupFollowEachOther) {
  std::set<std::string> seen;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const bool begins = i == 0 || strcmp(kOptions[i].group, kOptions[i - 1].group) != 0;
    EXPECT_EQ(seen.insert(kOptions[i].group).second, begins) << kOptions[i].name;
  }
}

}  // namespace
}  // namespace taskmem
