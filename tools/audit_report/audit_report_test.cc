#include "tools/audit_report/audit_report.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tools/audit_report/protobuf_writer.h"

namespace taskmem {
namespace {

Audit Example() {
  Audit audit;
  audit.pid = 77;
  audit.program = "/usr/bin/example";
  audit.resident_bytes = 100 << 20;
  audit.classes[static_cast<size_t>(LedgerClass::kTaskPages)] = 60 << 20;
  audit.classes[static_cast<size_t>(LedgerClass::kImages)] = 10 << 20;
  audit.classes[static_cast<size_t>(LedgerClass::kUnknown)] = 30 << 20;
  audit.kinds[{LedgerClass::kTaskPages, "pages"}] = 60 << 20;
  audit.kinds[{LedgerClass::kImages, "vdso"}] = 4096;
  audit.kinds[{LedgerClass::kImages, "program or library"}] = (10 << 20) - 4096;
  audit.kinds[{LedgerClass::kUnknown, "unknown"}] = 30 << 20;
  MemoryRange range;
  range.start = 0x7f0000000000;
  range.end = 0x7f0002000000;
  range.readable = range.writable = true;
  range.resident_bytes = 30 << 20;
  audit.unknown.push_back(range);
  audit.tasks.push_back({4, 42, "query\n42", true, 61 << 20, 60 << 20, 0, {}});
  audit.sites.is_on = true;
  audit.sites.interval_bytes = 512 << 10;
  audit.modules.push_back({0x1000, 0x9000, "/usr/lib/liba.so"});
  return audit;
}

std::vector<NamedSite> Sites(const Audit& audit) {
  NamedSite first;
  first.frames = {{{"a::Take(int)", "liba.so", "/usr/lib/liba.so", "a.cc", 12}, 0x2000},
                  {{"", "liba.so", "/usr/lib/liba.so", "", 0}, 0x3000},
                  {{"", "", "", "", 0}, 0x7f1234}};
  first.task = &audit.tasks[0];
  first.bytes = 50 << 20;
  first.error_bytes = 3 << 20;
  first.samples = 100;
  NamedSite second = first;
  second.task = nullptr;
  second.bytes = 1 << 20;
  second.samples = 1;
  return {first, second};
}

TEST(AuditReport, TableShowsWhatThereIs) {
  const Audit audit = Example();
  const std::string text = FormatAudit(audit, Sites(audit));
  for (const char* part :
       {"audit of example, pid 77", "60.0 MiB   60.0 %  task pages", "30.0 %  UNKNOWN",
        "100.0 MiB  100.0 %  resident", "42 (query?42), retained after end",
        "7f0000000000-7f0002000000 rw-p of 32.0 MiB", "one in 512.0 KiB",
        "50.0 MiB  ± 3.0 MiB, 100 samples", "a::Take(int) (liba.so) a.cc:12", "[liba.so]",
        "[generated code]", "± 3.0 MiB, 1 sample, untracked", "vdso 4.0 KiB"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  std::vector<NamedSite> exact = Sites(audit);
  for (NamedSite& site : exact) site.error_bytes = 0;
  EXPECT_NE(FormatAudit(audit, exact).find("50.0 MiB  exact, 100 remembered one by one, 42 (query"),
            std::string::npos);
  EXPECT_NE(FormatAudit(audit, exact).find(" 1.0 MiB  exact, untracked\n"), std::string::npos);
  Audit off = Example();
  off.sites.is_on = false;
  EXPECT_NE(FormatAudit(off, {}).find("not sampled"), std::string::npos);
}

TEST(AuditReport, TableEndsWhereThereIsVeryMuch) {
  Audit audit = Example();
  audit.unknown.resize(100'000, audit.unknown[0]);
  audit.tasks.resize(60'000, audit.tasks[0]);
  const std::string text = FormatAudit(audit, {});
  EXPECT_LT(text.size(), 10'000u);
  EXPECT_NE(text.find("99990 more ranges"), std::string::npos);
  EXPECT_NE(text.find("59980 more tasks"), std::string::npos);
}

TEST(AuditReport, JsonAddsUp) {
  const Audit audit = Example();
  const auto json = nlohmann::json::parse(AuditJson(audit, Sites(audit)).dump());
  EXPECT_EQ(json["resident_bytes"], 100 << 20);
  uint64_t sum = 0;
  for (const auto& [name, bytes] : json["classes"].items()) sum += bytes.get<uint64_t>();
  EXPECT_EQ(sum, audit.resident_bytes);
  EXPECT_EQ(json["classes"].size(), kLedgerClasses);
  EXPECT_EQ(json["unknown_bytes"], 30 << 20);
  EXPECT_EQ(json["unknown"][0]["start"], "0x7f0000000000");
  EXPECT_EQ(json["unknown"][0]["permissions"], "rw-p");
  EXPECT_EQ(json["tasks"][0]["task_id"], 42);
  EXPECT_EQ(json["tasks"][0]["resident_bytes"], 60 << 20);
  EXPECT_EQ(json["tasks"][0]["ended"], true);
  EXPECT_EQ(json["sites"][0]["bytes"], 50 << 20);
  EXPECT_EQ(json["sites"][0]["frames"][0]["function"], "a::Take(int)");
  EXPECT_EQ(json["sites"][0]["frames"][0]["line"], 12);
  EXPECT_EQ(json["sites"][1]["task_id"], nullptr);
  EXPECT_EQ(json["sites"][1]["task_name"], "untracked");
}

TEST(AuditReport, CollapsedStacksBeginAtTheOutside) {
  Audit audit = Example();
  audit.tasks[0].name = "a;b";
  auto sites = Sites(audit);
  sites[0].frames.resize(2);
  EXPECT_EQ(FormatCollapsed({sites[0]}),
            "42 (a:b), retained after end;[liba.so];a::Take(int) (liba.so) 52428800\n");
}

TEST(AuditReport, ModulesAreSummedUp) {
  const Audit audit = Example();
  const auto modules = SitesByModule(Sites(audit));
  ASSERT_EQ(modules.size(), 2u);  // of the task, and untracked
  EXPECT_EQ(modules[0].frames[0].symbol.Text(), "[liba.so]");
  EXPECT_EQ(modules[0].bytes, 50u << 20);
}

TEST(ProtobufWriter, WritesTheWireFormat) {
  ProtobufWriter message;
  message.Number(1, 150);
  message.Number(2, 0);
  message.Bytes(2, "testing");
  message.Packed(4, {3, 270, 86942});
  EXPECT_EQ(message.bytes(), std::string("\x08\x96\x01\x12\x07testing\x22\x06\x03\x8e\x02\x9e"
                                         "\xa7\x05"));
}

std::string Gunzip(const std::string& packed) {
  z_stream stream = {};
  constexpr int kGzip = 16;
  EXPECT_EQ(inflateInit2(&stream, MAX_WBITS + kGzip), Z_OK);
  std::string text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

// The top level of a message: field number to what it holds (numbers as text).
std::multimap<uint32_t, std::string> Fields(const std::string& bytes) {
  std::multimap<uint32_t, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; at < bytes.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.size()) {
    const uint64_t key = varint();
    if (key % 8 == 0) {
      fields.emplace(key / 8, std::to_string(varint()));
    } else {
      EXPECT_EQ(key % 8, 2u);
      const uint64_t size = varint();
      fields.emplace(key / 8, bytes.substr(at, size));
      at += size;
    }
  }
  return fields;
}

TEST(AuditReport, PprofHasEverySample) {
  const Audit audit = Example();
  const auto profile = Fields(Gunzip(FormatPprof(audit, Sites(audit))));
  EXPECT_EQ(profile.count(1), 2u);         // sample types
  EXPECT_EQ(profile.count(2), 2u);         // samples
  EXPECT_EQ(profile.count(3), 1u);         // mappings
  EXPECT_EQ(profile.count(4), 3u);         // locations
  EXPECT_EQ(profile.count(5), 3u);         // functions
  EXPECT_EQ(profile.find(6)->second, "");  // the first string
  const auto has_text = [&](const std::string& text) {
    const auto [first, last] = profile.equal_range(6);
    return std::any_of(first, last, [&](const auto& entry) { return entry.second == text; });
  };
  EXPECT_TRUE(has_text("inuse_space"));
  EXPECT_TRUE(has_text("a::Take(int) (liba.so)"));
  EXPECT_TRUE(has_text("/usr/lib/liba.so"));
  EXPECT_EQ(profile.find(12)->second, "524288");
}

// One that is loaded again is two.
TEST(AuditReport, PprofNumbersModulesOfOneName) {
  Audit audit = Example();
  audit.modules.push_back(audit.modules[0]);
  audit.modules.back().is_unloaded = true;
  audit.modules.push_back(audit.modules[0]);
  const auto profile = Fields(Gunzip(FormatPprof(audit, Sites(audit))));
  std::set<std::string> numbers;
  const auto [first, last] = profile.equal_range(3);
  for (auto each = first; each != last; ++each)
    numbers.insert(Fields(each->second).find(1)->second);
  EXPECT_EQ(numbers.size(), 3u);
}

}  // namespace
}  // namespace taskmem
