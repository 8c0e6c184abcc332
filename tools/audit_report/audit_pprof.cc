// The sites of an audit as a profile of Google's pprof (profile.proto, gzipped).
#include <zlib.h>

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tools/audit_report/audit_report.h"
#include "tools/audit_report/protobuf_writer.h"
#include "tools/base/units.h"

namespace taskmem {
namespace {

// Field numbers of profile.proto.
namespace profile {
constexpr uint32_t kSampleType = 1, kSample = 2, kMapping = 3, kLocation = 4, kFunction = 5,
                   kStringTable = 6, kPeriodType = 11, kPeriod = 12, kDefaultSampleType = 14;
}
namespace value_type {
constexpr uint32_t kType = 1, kUnit = 2;
}
namespace sample {
constexpr uint32_t kLocationId = 1, kValue = 2, kLabel = 3;
}
namespace label {
constexpr uint32_t kKey = 1, kText = 2;
}
namespace mapping {
constexpr uint32_t kId = 1, kStart = 2, kLimit = 3, kFilename = 5, kHasFunctions = 7;
}
namespace location {
constexpr uint32_t kId = 1, kMappingId = 2, kAddress = 3, kLine = 4;
}
namespace line {
constexpr uint32_t kFunctionId = 1, kLine = 2;
}
namespace function {
constexpr uint32_t kId = 1, kName = 2, kSystemName = 3, kFilename = 4;
}

class Profile {
 public:
  Profile() { Text(""); }  // the first string is the empty one

  void Write(const Audit& audit, const std::vector<NamedSite>& sites) {
    AddType(profile::kSampleType, "inuse_objects", "count");
    AddType(profile::kSampleType, "inuse_space", "bytes");
    for (const Module& module : audit.modules) AddMapping(module);
    for (const NamedSite& site : sites) AddSample(site);
    AddType(profile::kPeriodType, "space", "bytes");
    profile_.Number(profile::kPeriod, audit.sites.interval_bytes);
    profile_.Number(profile::kDefaultSampleType, Text("inuse_space"));
    for (const std::string& text : texts_) profile_.Bytes(profile::kStringTable, text);
  }
  const std::string& bytes() const { return profile_.bytes(); }

 private:
  uint64_t Text(const std::string& raw) {
    const std::string text = Printable(raw);  // readers want UTF-8
    const auto [found, is_new] = text_ids_.try_emplace(text, texts_.size());
    if (is_new) texts_.push_back(text);
    return found->second;
  }

  void AddType(uint32_t field, const std::string& type, const std::string& unit) {
    ProtobufWriter message;
    message.Number(value_type::kType, Text(type));
    message.Number(value_type::kUnit, Text(unit));
    profile_.Message(field, message);
  }

  void AddMapping(const Module& module) {
    const uint64_t id = ++mappings_;
    mapping_ids_.try_emplace({module.path, module.is_unloaded}, id);
    ProtobufWriter message;
    message.Number(mapping::kId, id);
    message.Number(mapping::kStart, module.start);
    message.Number(mapping::kLimit, module.end);
    message.Number(mapping::kFilename, Text(module.path));
    message.Number(mapping::kHasFunctions, 1);
    profile_.Message(profile::kMapping, message);
  }

  uint64_t FunctionId(const Symbol& symbol) {
    const std::string name = symbol.Text();
    const auto [found, is_new] =
        function_ids_.try_emplace({name, symbol.file}, function_ids_.size() + 1);
    if (is_new) {
      ProtobufWriter message;
      message.Number(function::kId, found->second);
      message.Number(function::kName, Text(name));
      message.Number(function::kSystemName, Text(name));
      message.Number(function::kFilename, Text(symbol.file));
      profile_.Message(profile::kFunction, message);
    }
    return found->second;
  }

  uint64_t LocationId(const NamedFrame& frame) {
    const auto [found, is_new] =
        location_ids_.try_emplace({frame.address, frame.symbol.Text()}, location_ids_.size() + 1);
    if (is_new) {
      ProtobufWriter line_message;
      line_message.Number(line::kFunctionId, FunctionId(frame.symbol));
      line_message.Number(line::kLine, static_cast<uint64_t>(frame.symbol.line));
      ProtobufWriter message;
      message.Number(location::kId, found->second);
      const auto known = mapping_ids_.find({frame.symbol.path, frame.symbol.is_unloaded});
      if (known != mapping_ids_.end()) message.Number(location::kMappingId, known->second);
      message.Number(location::kAddress, frame.address);
      message.Message(location::kLine, line_message);
      profile_.Message(profile::kLocation, message);
    }
    return found->second;
  }

  void AddSample(const NamedSite& site) {
    std::vector<uint64_t> locations;
    for (const NamedFrame& frame : site.frames) locations.push_back(LocationId(frame));
    ProtobufWriter label_message;
    label_message.Number(label::kKey, Text("task"));
    label_message.Number(label::kText, Text(site.task != nullptr ? site.task->name : "untracked"));
    ProtobufWriter message;
    message.Packed(sample::kLocationId, locations);
    message.Packed(sample::kValue, {site.samples, site.bytes});
    message.Message(sample::kLabel, label_message);
    profile_.Message(profile::kSample, message);
  }

  ProtobufWriter profile_;
  std::vector<std::string> texts_;
  std::map<std::string, uint64_t> text_ids_;
  uint64_t mappings_ = 0;
  std::map<std::pair<std::string, bool>, uint64_t> mapping_ids_;  // path, and whether it is gone
  std::map<std::pair<std::string, std::string>, uint64_t> function_ids_;
  std::map<std::pair<uint64_t, std::string>, uint64_t> location_ids_;
};

std::string Gzip(const std::string& bytes) {
  z_stream stream = {};
  constexpr int kGzip = 16;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return bytes;  // readers take it unpacked, too
  }
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

std::string FormatPprof(const Audit& audit, const std::vector<NamedSite>& sites) {
  Profile profile;
  profile.Write(audit, sites);
  return Gzip(profile.bytes());
}

}  // namespace taskmem
