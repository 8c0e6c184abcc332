// Audits of real and made-up programs, as the command writes them.
#ifndef TASKMEM_TESTS_SUPPORT_AUDIT_RUN_H_
#define TASKMEM_TESTS_SUPPORT_AUDIT_RUN_H_

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/program_test.h"

namespace taskmem::test {

using Json = nlohmann::json;

// A folder with the command and the library beside it, as they are installed.
class AuditFolder : public ::testing::Test {
 protected:
  AuditFolder() {
    namespace fs = std::filesystem;
    const char* chosen = getenv("TASKMEM_TEST_COMMAND");
    fs::copy_file(chosen != nullptr ? chosen : Runfile("tools/taskmem_command"),
                  folder_.path() + "/taskmem");
    fs::copy_file(LibraryPath(), folder_.path() + "/libtaskmem.so");
  }

  // The audits of a program under `taskmem run`: {"peak": ..., "at_exit": ...}.
  Json Run(std::vector<std::string> arguments, Environment environment = {}) {
    const std::string file = folder_.path() + "/audit.json";
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {folder_.path() + "/taskmem", "run", "--quiet", "--audit", file, "--"};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = std::move(environment);
    command.environment["TASKMEM_STATS_DIR"] = folder_.path() + "/stats";
    const Result result = RunCommand(command);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.err, "");
    const Json json = Json::parse(std::ifstream(file), nullptr, false);
    EXPECT_TRUE(json.is_object());
    for (const char* moment : {"peak", "at_exit"}) ExpectExact(json[moment]);
    return json;
  }

  // Everything adds up, to the byte.
  static void ExpectExact(const Json& audit) {
    ASSERT_TRUE(audit.is_object());
    uint64_t sum = 0;
    for (const auto& [name, bytes] : audit["classes"].items()) sum += bytes.get<uint64_t>();
    EXPECT_EQ(sum, audit["resident_bytes"]);
    EXPECT_EQ(SumOf(audit["kinds"], "bytes"), audit["resident_bytes"]);
    EXPECT_EQ(SumOf(audit["unknown"], "resident_bytes"), audit["unknown_bytes"]);
    EXPECT_EQ(audit["classes"]["unknown"], audit["unknown_bytes"]);
    EXPECT_EQ(SumOf(audit["tasks"], "page_bytes"), audit["classes"]["task_pages"]);
    EXPECT_EQ(SumOf(audit["tasks"], "mapping_bytes"), audit["classes"]["task_mappings"]);
  }

  // At most 1 % is left unexplained.
  static void ExpectExplained(const Json& audit) {
    EXPECT_GT(audit["resident_bytes"], 0);
    EXPECT_LE(audit["unknown_bytes"].get<double>(), 0.01 * audit["resident_bytes"].get<double>())
        << audit["program"] << ' ' << audit["unknown"].dump(1);
  }

  // Where servers that run as another user find it.
  const TemporaryFolder folder_{"/tmp"};

 private:
  static uint64_t SumOf(const Json& list, const char* key) {
    uint64_t sum = 0;
    for (const Json& entry : list) sum += entry[key].get<uint64_t>();
    return sum;
  }
};

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_AUDIT_RUN_H_
