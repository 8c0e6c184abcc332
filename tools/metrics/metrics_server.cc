#include "tools/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace taskmem {
namespace {

constexpr char kLibrary[] = "libmicrohttpd.so.12";
constexpr unsigned kMostConnections = 32;
constexpr unsigned kSeconds = 10;  // for a request that does not come
// For a connection: who sends a byte now and then keeps it from others no longer.
constexpr std::chrono::seconds kMostSeconds{20};

// Those of its functions that are used.
struct Microhttpd {
  decltype(&MHD_start_daemon) start_daemon;
  decltype(&MHD_stop_daemon) stop_daemon;
  decltype(&MHD_create_response_from_buffer) create_response;
  decltype(&MHD_destroy_response) destroy_response;
  decltype(&MHD_add_response_header) add_header;
  decltype(&MHD_queue_response) queue_response;
  decltype(&MHD_lookup_connection_value) lookup;
  decltype(&MHD_get_connection_info) get_info;

  bool Load() {
    void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    const auto find = [&](auto* function, const char* name) {
      *function =
          library == nullptr
              ? nullptr
              : reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(library, name));
      return *function != nullptr;
    };
    return find(&start_daemon, "MHD_start_daemon") && find(&stop_daemon, "MHD_stop_daemon") &&
           find(&create_response, "MHD_create_response_from_buffer") &&
           find(&destroy_response, "MHD_destroy_response") &&
           find(&add_header, "MHD_add_response_header") &&
           find(&queue_response, "MHD_queue_response") &&
           find(&lookup, "MHD_lookup_connection_value") &&
           find(&get_info, "MHD_get_connection_info");
  }
};

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t bytes = 0;
};

SocketAddress SocketAddressOf(const ListenAddress& address) {
  SocketAddress result;
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&result.storage);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&result.storage);
  if (inet_pton(AF_INET, address.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    result.bytes = sizeof(*v4);
  } else if (inet_pton(AF_INET6, address.host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    result.bytes = sizeof(*v6);
  }
  return result;
}

// -1 and errno where it cannot be had.
int Listen(const ListenAddress& address, uint16_t* port) {
  SocketAddress wanted = SocketAddressOf(address);
  const int fd = socket(wanted.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  auto* const place = reinterpret_cast<sockaddr*>(&wanted.storage);
  if (bind(fd, place, wanted.bytes) != 0 || listen(fd, kMostConnections) != 0 ||
      getsockname(fd, place, &wanted.bytes) != 0) {
    const int why = errno;
    close(fd);
    errno = why;
    return -1;
  }
  // Both families have the port at the same place.
  *port = ntohs(reinterpret_cast<sockaddr_in*>(&wanted.storage)->sin_port);
  return fd;
}

class Server final : public MetricsServer {
 public:
  Server(Microhttpd library, Source source) : library_(library), source_(std::move(source)) {}
  ~Server() override {
    if (daemon_ != nullptr) library_.stop_daemon(daemon_);
    if (!watch_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    ending_.notify_all();
    watch_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  bool Begin(int fd, uint16_t port) {
    port_ = port;
    daemon_ = library_.start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD, port, nullptr, nullptr, &Server::Answer, this,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, kMostConnections,
        MHD_OPTION_CONNECTION_TIMEOUT, kSeconds, MHD_OPTION_NOTIFY_CONNECTION, &Server::Note, this,
        MHD_OPTION_END);
    if (daemon_ != nullptr) watch_ = std::thread([this] { Watch(); });
    return daemon_ != nullptr;
  }
  uint16_t port() const override { return port_; }

 private:
  using Clock = std::chrono::steady_clock;

  static void Note(void* self, MHD_Connection* connection, void**,
                   MHD_ConnectionNotificationCode what) {
    static_cast<Server*>(self)->NoteConnection(connection, what == MHD_CONNECTION_NOTIFY_STARTED);
  }

  // The library closes a connection after it has said so: until then its socket is that.
  void NoteConnection(MHD_Connection* connection, bool has_begun) {
    const std::lock_guard lock(mutex_);
    if (!has_begun) {
      connections_.erase(connection);
      return;
    }
    const MHD_ConnectionInfo* const info =
        library_.get_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != nullptr) connections_[connection] = {info->connect_fd, Clock::now()};
  }

  // Nothing more is read of who takes too long; what is being answered is sent.
  void Watch() {
    std::unique_lock lock(mutex_);
    while (!ending_.wait_for(lock, std::chrono::seconds(1), [this] { return ends_; })) {
      for (auto& [connection, known] : connections_) {
        if (Clock::now() - known.since > kMostSeconds) shutdown(known.fd, SHUT_RD);
      }
    }
  }

  static MHD_Result Answer(void* self, MHD_Connection* connection, const char* url,
                           const char* method, const char*, const char*, size_t* upload_bytes,
                           void** state) {
    // The first call is for the head of the request alone.
    static char seen;
    if (*state == nullptr) {
      *state = &seen;
      return MHD_YES;
    }
    if (*upload_bytes != 0) {
      *upload_bytes = 0;
      return MHD_YES;
    }
    return static_cast<Server*>(self)->Give(connection, url, method);
  }

  MHD_Result Give(MHD_Connection* connection, const char* url, const char* method) {
    const bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (!is_read) return Send(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n", "text/plain");
    if (strcmp(url, "/") == 0) {
      return Send(connection, MHD_HTTP_OK,
                  "<html><title>taskmem</title><a href=\"/metrics\">metrics</a></html>\n",
                  "text/html");
    }
    if (strcmp(url, "/metrics") != 0) {
      return Send(connection, MHD_HTTP_NOT_FOUND, "/metrics\n", "text/plain");
    }
    const char* const accept = library_.lookup(connection, MHD_HEADER_KIND, "Accept");
    const MetricsFormat format =
        accept != nullptr && strstr(accept, "application/openmetrics-text") != nullptr
            ? MetricsFormat::kOpenMetrics
            : MetricsFormat::kPrometheus;
    try {
      return Send(connection, MHD_HTTP_OK, source_(format), ContentType(format));
    } catch (...) {
      return Send(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n", "text/plain");
    }
  }

  MHD_Result Send(MHD_Connection* connection, unsigned status, std::string_view text,
                  const char* type) {
    MHD_Response* const response = library_.create_response(
        text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
    if (response == nullptr) return MHD_NO;
    library_.add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    const MHD_Result result = library_.queue_response(connection, status, response);
    library_.destroy_response(response);
    return result;
  }

  const Microhttpd library_;
  const Source source_;
  MHD_Daemon* daemon_ = nullptr;
  struct Known {
    int fd = -1;
    Clock::time_point since;
  };
  std::mutex mutex_;
  std::map<MHD_Connection*, Known> connections_;
  bool ends_ = false;
  std::condition_variable ending_;
  std::thread watch_;
  uint16_t port_ = 0;
};

}  // namespace

std::optional<ListenAddress> ParseListenAddress(std::string_view text) {
  ListenAddress address;
  const size_t colon = text.rfind(':');
  std::string_view port = text;
  if (colon == text.npos) {
    address.host = "127.0.0.1";
  } else {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    address.host = host.empty() ? "::" : host == "localhost" ? "127.0.0.1" : std::string(host);
  }
  const char* const end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, address.port);
  if (port.empty() || error != std::errc() || stop != end) return std::nullopt;
  if (SocketAddressOf(address).bytes == 0) return std::nullopt;
  return address;
}

std::unique_ptr<MetricsServer> MetricsServer::Start(const ListenAddress& address, Source source,
                                                    std::string* error) {
  Microhttpd library;
  if (!library.Load()) {
    *error =
        fmt::format("{} is missing: apt-get install libmicrohttpd12, or use --textfile", kLibrary);
    return nullptr;
  }
  uint16_t port = 0;
  const int fd = Listen(address, &port);
  if (fd < 0) {
    *error = fmt::format("cannot listen on {}:{}: {}", address.host, address.port, strerror(errno));
    return nullptr;
  }
  auto server = std::make_unique<Server>(library, std::move(source));
  if (!server->Begin(fd, port)) {
    close(fd);
    *error = fmt::format("cannot serve on {}:{}", address.host, address.port);
    return nullptr;
  }
  return server;
}

}  // namespace taskmem
