#include "tools/cli/metrics_command.h"

#include <signal.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "accounting/base/monotonic_ns.h"
#include "shim/options/options.h"
#include "shim/options/value_text.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/base/units.h"
#include "tools/cli/environment_options.h"
#include "tools/metrics/metrics_book.h"
#include "tools/metrics/metrics_server.h"
#include "tools/stats/stats_files.h"

namespace taskmem {
namespace {

constexpr char kDefaultListen[] = "127.0.0.1:9469";
constexpr size_t kWordColumns = 60;
constexpr size_t kMostNames = 10'000;

uint64_t NowNs() { return static_cast<uint64_t>(MonotonicNs()); }

size_t NamesOf(const MetricsRequest& request) {
  if (request.names.empty()) return MetricsBook::kNames;
  size_t count = 0;
  const char* const end = request.names.data() + request.names.size();
  const auto [stop, error] = std::from_chars(request.names.data(), end, count);
  if (error == std::errc() && stop == end && count <= kMostNames) return count;
  Fatal(kExitUsage, "bad value '{}' for --names: expected a number up to {}",
        Printable(request.names, kWordColumns), kMostNames);
}

// 0: once.
int64_t IntervalOf(const MetricsRequest& request) {
  if (request.interval.empty()) return 0;
  int64_t ns = 0;
  constexpr int64_t kLeastNs = 100'000'000;
  if (ParseDuration(request.interval.c_str(), &ns) && ns >= kLeastNs) return ns;
  Fatal(kExitUsage, "bad value '{}' for --interval: expected a time from 100ms on, such as 15s",
        Printable(request.interval, kWordColumns));
}

// False: the command is to end.
bool SleepUntilAsked(const sigset_t& asked, int64_t ns) {
  const timespec wait = {ns / 1'000'000'000, ns % 1'000'000'000};
  return sigtimedwait(&asked, nullptr, &wait) < 0;
}

}  // namespace

int MetricsCommand(const MetricsRequest& request) {
  if (!request.listen.empty() && !request.textfile.empty()) {
    Fatal(kExitUsage, "--listen or --textfile, not both");
  }
  if (!request.interval.empty() && request.textfile.empty()) {
    Fatal(kExitUsage, "--interval is for --textfile: it says how often that is written");
  }
  const auto address = ParseListenAddress(request.listen.empty() ? kDefaultListen : request.listen);
  if (!address) {
    Fatal(kExitUsage, "bad value '{}' for --listen: expected an address and port such as {}",
          Printable(request.listen, kWordColumns), kDefaultListen);
  }
  const int64_t interval_ns = IntervalOf(request);
  MetricsBook book(NamesOf(request));
  const Options options = OptionsOfReaderOrFail();
  LiveBooks books(options);
  const auto text = [&](MetricsFormat format) {
    book.Update(books.Read(), NowNs());
    return book.Text(format);
  };
  sigset_t asked;
  sigemptyset(&asked);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&asked, signal);
  if (request.textfile.empty()) {
    sigprocmask(SIG_BLOCK, &asked, nullptr);
    std::string error;
    const auto server = MetricsServer::Start(*address, text, &error);
    if (server == nullptr) Fatal(EXIT_FAILURE, "{}", error);
    const bool is_v6 = address->host.find(':') != std::string::npos;
    Say("metrics on http://{}{}{}:{}/metrics", is_v6 ? "[" : "", address->host, is_v6 ? "]" : "",
        server->port());
    int signal = 0;
    while (sigwait(&asked, &signal) != 0) {
    }
    return EXIT_SUCCESS;
  }
  CheckOutputFileOrFail(request.textfile);
  if (interval_ns != 0) sigprocmask(SIG_BLOCK, &asked, nullptr);
  do {
    const int error = WriteOutputFile(request.textfile, text(MetricsFormat::kPrometheus));
    if (error == 0) continue;
    // A disk that is full may have room again.
    if (interval_ns == 0) {
      Fatal(EXIT_FAILURE, "cannot write {}: {}", Printable(request.textfile), strerror(error));
    }
    Say("cannot write {}: {}", Printable(request.textfile), strerror(error));
  } while (interval_ns != 0 && SleepUntilAsked(asked, interval_ns));
  return EXIT_SUCCESS;
}

}  // namespace taskmem
