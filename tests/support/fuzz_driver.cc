#include "tests/support/fuzz_driver.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

namespace taskmem {
namespace {

using Random = std::mt19937_64;

constexpr unsigned kMostSecondsForOne = 60;
constexpr uint64_t kMostResidentBytes = uint64_t{2} << 30;

uint64_t g_seed = 0;
uint64_t g_number = 0;

void SayWhich() {
  char text[128];
  const int bytes =
      snprintf(text, sizeof(text), "again: --seed=%llu --only=%llu\n",
               static_cast<unsigned long long>(g_seed), static_cast<unsigned long long>(g_number));
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(bytes));
}

void OnFault(int signal) {
  SayWhich();
  if (signal == SIGALRM) {
    constexpr char kHangs[] = "it takes too long\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kHangs, sizeof(kHangs) - 1);
  }
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(SIGABRT, &by_default, nullptr);
  abort();
}

uint64_t Below(Random& random, uint64_t end) { return end == 0 ? 0 : random() % end; }

// A number that is likely to be wrong somewhere.
uint64_t Interesting(Random& random) {
  switch (Below(random, 6)) {
    case 0: return Below(random, 4);
    case 1: return uint64_t{0} - 1 - Below(random, 4);
    case 2: return (uint64_t{1} << Below(random, 64)) - Below(random, 3) + 1;
    case 3: return Below(random, 65536);
    case 4: return Below(random, uint64_t{1} << 47) & ~uint64_t{4095};
    default: return random();
  }
}

void MutateOnce(std::string* input, const std::vector<std::string>& seeds, Random& random) {
  const uint64_t at = Below(random, input->size() + 1);
  const uint64_t left = input->size() - at;
  switch (Below(random, 8)) {
    case 0:
      if (left > 0) (*input)[at] = static_cast<char>((*input)[at] ^ (1 << Below(random, 8)));
      break;
    case 1:
      if (left > 0) (*input)[at] = static_cast<char>(random());
      break;
    case 2: {
      const uint64_t word = Interesting(random);
      const uint64_t bytes = std::min<uint64_t>(left, uint64_t{1} << Below(random, 4));
      memcpy(input->data() + at, &word, bytes);
      break;
    }
    case 3: input->erase(at, Below(random, std::min<uint64_t>(left, 64) + 1)); break;
    case 4: input->insert(at, std::to_string(Interesting(random))); break;
    case 5: input->insert(at, 1 + Below(random, 16), static_cast<char>(random())); break;
    case 6: input->resize(at); break;
    default: {
      const std::string& other = seeds[Below(random, seeds.size())];
      const uint64_t from = Below(random, other.size() + 1);
      input->insert(at, other, from, Below(random, 256));
    }
  }
}

// Each from the seed and its number alone.
std::string MakeInput(const std::vector<std::string>& seeds) {
  if (g_number < seeds.size()) return seeds[g_number];
  Random random(g_seed * 0x9e3779b97f4a7c15 + g_number);
  std::string input = seeds[Below(random, seeds.size())];
  for (uint64_t i = 1 + Below(random, 24); i > 0; --i) MutateOnce(&input, seeds, random);
  return input;
}

void RunOne(const std::string& input) {
  alarm(kMostSecondsForOne);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  alarm(0);
}

// No input may have taken more.
void CheckResident() {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  FUZZ_CHECK(static_cast<uint64_t>(usage.ru_maxrss) * 1024 < kMostResidentBytes);
}

int Run(int argc, char** argv) {
  uint64_t seconds = 3;
  bool has_only = false;
  g_seed = std::random_device()();
  for (int i = 1; i < argc; ++i) {
    unsigned long long value = 0;
    if (sscanf(argv[i], "--seconds=%llu", &value) == 1) seconds = value;
    if (sscanf(argv[i], "--seed=%llu", &value) == 1) g_seed = value;
    if (sscanf(argv[i], "--only=%llu", &value) == 1) {
      g_number = value;
      has_only = true;
    }
  }
  printf("seed %llu\n", static_cast<unsigned long long>(g_seed));
  fflush(stdout);
  struct sigaction action = {};
  action.sa_handler = OnFault;
  for (int signal : {SIGABRT, SIGALRM}) sigaction(signal, &action, nullptr);
#ifndef __SANITIZE_ADDRESS__
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
#endif
  const std::vector<std::string> seeds = FuzzSeeds();
  FUZZ_CHECK(!seeds.empty());
  if (has_only) {
    RunOne(MakeInput(seeds));
    return 0;
  }
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::seconds(seconds);
  for (; g_number < seeds.size() || Clock::now() < end; ++g_number) {
    RunOne(MakeInput(seeds));
    CheckResident();
  }
  printf("%llu inputs\n", static_cast<unsigned long long>(g_number));
  return 0;
}

}  // namespace

void FuzzFailed(const char* condition, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
  abort();
}

std::string FileContents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char buffer[4096];
  while (file.read(buffer, sizeof(buffer)), file.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(file.gcount()));
  }
  return text;
}

bool IsPrintableText(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20 && c != '\n') || c == 0x7f) return false;
    if (c < 0x80) continue;
    const size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || i + more >= text.size()) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    if (c == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;
    i += more;
  }
  return true;
}

}  // namespace taskmem

int main(int argc, char** argv) { return taskmem::Run(argc, argv); }
