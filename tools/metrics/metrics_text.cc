#include "tools/metrics/metrics_text.h"

#include <fmt/format.h>

#include "tools/base/units.h"

namespace taskmem {

const char* ContentType(MetricsFormat format) {
  return format == MetricsFormat::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

std::string ShownLabel(std::string_view text) {
  constexpr size_t kMostColumns = 100;
  return Printable(text, kMostColumns);
}

std::string LabelValue(std::string_view text) {
  std::string value;
  for (const char c : ShownLabel(text)) {
    if (c == '\\' || c == '"') value += '\\';
    value += c;
  }
  return value;
}

void MetricsText::Begin(const char* name, const char* type, const char* unit, const char* help) {
  const bool is_counter = std::string_view(type) == "counter";
  sample_name_ = is_counter ? std::string(name) + "_total" : name;
  const std::string& family = format_ == MetricsFormat::kOpenMetrics ? name : sample_name_;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family, help, family, type);
  if (format_ == MetricsFormat::kOpenMetrics && *unit != '\0') {
    text_ += fmt::format("# UNIT {} {}\n", family, unit);
  }
}

void MetricsText::BeginGauge(const char* name, const char* unit, const char* help) {
  Begin(name, "gauge", unit, help);
}

void MetricsText::BeginCounter(const char* name, const char* unit, const char* help) {
  Begin(name, "counter", unit, help);
}

void MetricsText::AddSample(const Labels& labels, const std::string& value) {
  text_ += sample_name_;
  const char* separator = "{";
  for (const auto& [name, text] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", separator, name, LabelValue(text));
    separator = ",";
  }
  if (!labels.empty()) text_ += '}';
  text_ += ' ' + value + '\n';
}

void MetricsText::Add(const Labels& labels, uint64_t value) {
  AddSample(labels, fmt::to_string(value));
}

void MetricsText::Add(const Labels& labels, double value) {
  AddSample(labels, fmt::format("{}", value));
}

std::string MetricsText::Take() {
  if (format_ == MetricsFormat::kOpenMetrics) text_ += "# EOF\n";
  return std::move(text_);
}

}  // namespace taskmem
