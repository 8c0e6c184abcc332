// An HTTP server of one page, /metrics: GNU libmicrohttpd, which is loaded when it is needed, so
// that the other commands start without it.
#ifndef TASKMEM_TOOLS_METRICS_METRICS_SERVER_H_
#define TASKMEM_TOOLS_METRICS_METRICS_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tools/metrics/metrics_text.h"

namespace taskmem {

// "127.0.0.1:9469", "[::1]:9469", ":9469" (all addresses), "9469" (loopback). Nothing: it is none.
struct ListenAddress {
  std::string host;  // an address in numbers
  uint16_t port = 0;
};
std::optional<ListenAddress> ParseListenAddress(std::string_view text);

class MetricsServer {
 public:
  // Called for each request, on a thread of the server; one at a time.
  using Source = std::function<std::string(MetricsFormat)>;

  // nullptr: `error` is a line about why.
  static std::unique_ptr<MetricsServer> Start(const ListenAddress& address, Source source,
                                              std::string* error);
  virtual ~MetricsServer() = default;

  // Which it has: another one where 0 was asked for.
  virtual uint16_t port() const = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_METRICS_METRICS_SERVER_H_
