// Values of options, which whoever sets an environment may write.
//
// An input is the number of an option, one byte, and a value for it.
#include <cstring>
#include <string>
#include <string_view>

#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "tests/support/fuzz_driver.h"

namespace taskmem {
namespace {

template <size_t kBytes>
bool IsText(const char (&text)[kBytes]) {
  return memchr(text, '\0', kBytes) != nullptr;
}

std::string BytesOf(const Options& options) {
  return {reinterpret_cast<const char*>(&options), sizeof(options)};
}

void CheckBounds(const Options& options) {
  FUZZ_CHECK(IsText(options.thread_name_regex) && IsText(options.plugin));
  FUZZ_CHECK(IsText(options.spill_dir) && IsText(options.log_file));
  FUZZ_CHECK(IsText(options.profile) && IsText(options.stats_dir));
  FUZZ_CHECK(options.quota_bytes > 0);
  FUZZ_CHECK(options.storage_fraction >= 0 && options.storage_fraction < 1);
  FUZZ_CHECK(options.soft_limit_percent < 100);
  FUZZ_CHECK(options.spill_timeout_ns >= 0 && options.wait_ns >= 0);
  FUZZ_CHECK(options.residency_interval_ns > 0);
  FUZZ_CHECK(options.sites_interval_bytes > 0);
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (size_t i = 0; i < kOptionCount; ++i) {
    for (const char* value :
         {kOptions[i].default_value, "none", "80%", "1.5GiB", "18446744073709551615", "250ms",
          "/data/spill", "thread-name=task ([0-9]+)[.]{1,3}", "thread-name=((a{1,99}){9}+)+",
          "0.25", "half"}) {
      seeds.push_back(std::string(1, static_cast<char>(i)) + value);
    }
  }
  return seeds;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  if (bytes == 0) return 0;
  const OptionInfo& option = kOptions[data[0] % kOptionCount];
  const std::string value(reinterpret_cast<const char*>(data) + 1, bytes - 1);
  Options options;
  const std::string before = BytesOf(options);
  const bool is_good = option.parse(value.c_str(), &options);
  CheckBounds(options);
  FUZZ_CHECK(is_good || BytesOf(options) == before);
  return 0;
}
