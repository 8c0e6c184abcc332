// The two text formats that Prometheus reads: OpenMetrics 1.0, and the older one (0.0.4) that
// node_exporter takes from files.
#ifndef TASKMEM_TOOLS_METRICS_METRICS_TEXT_H_
#define TASKMEM_TOOLS_METRICS_METRICS_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace taskmem {

enum class MetricsFormat { kOpenMetrics, kPrometheus };

// What an HTTP answer says of the format.
const char* ContentType(MetricsFormat format);

// Names come from here, values of labels from anywhere: those are made printable, cut and escaped.
using Labels = std::vector<std::pair<const char*, std::string>>;

class MetricsText {
 public:
  explicit MetricsText(MetricsFormat format) : format_(format) {}

  // A family, whose samples follow. `name` of a counter: without "_total".
  void BeginGauge(const char* name, const char* unit, const char* help);
  void BeginCounter(const char* name, const char* unit, const char* help);
  void Add(const Labels& labels, uint64_t value);
  void Add(const Labels& labels, double value);

  // All of it. Nothing may be added afterwards.
  std::string Take();

 private:
  void Begin(const char* name, const char* type, const char* unit, const char* help);
  void AddSample(const Labels& labels, const std::string& value);

  const MetricsFormat format_;
  std::string sample_name_;
  std::string text_;
};

// What is shown of a text from anywhere: printable, at most 100 characters.
std::string ShownLabel(std::string_view text);
// The same for between the quotes of a label: quotes and backslashes escaped.
std::string LabelValue(std::string_view text);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_METRICS_METRICS_TEXT_H_
