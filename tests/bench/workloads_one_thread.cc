#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/bench/workload.h"

namespace taskmem::bench {

// The shortest way through an allocator: a block is freed before the next one
// is asked for.
uint64_t RunPingPong() {
  uint64_t checksum = 0;
  for (const size_t bytes : {16, 48, 128, 512, 1000}) {
    for (int i = 0; i < 30'000'000; ++i) {
      char* block = static_cast<char*>(malloc(bytes));
      Escape(block);
      block[0] = static_cast<char>(i);
      checksum += static_cast<unsigned char>(block[0]);
      free(block);
    }
  }
  return checksum;
}

// 4096 blocks live, one of them replaced at a time.
uint64_t RunRandom() {
  constexpr size_t kLive = 4096;
  Random random(1);
  std::vector<char*> live(kLive, nullptr);
  uint64_t checksum = 0;
  for (int i = 0; i < 40'000'000; ++i) {
    char*& slot = live[random.Below(kLive)];
    if (slot != nullptr) checksum += FreeTagged(slot);
    slot = NewTagged(random.Between(16, 1000));
  }
  for (char* block : live) {
    if (block != nullptr) checksum += FreeTagged(block);
  }
  return checksum;
}

// 1 KiB to 4 MiB, sizes spread evenly over the powers of two, every byte
// written; every fourth block grows to its size by realloc, as a buffer does.
uint64_t RunLarge() {
  constexpr size_t kLive = 48;
  struct Buffer {
    char* data = nullptr;
    size_t bytes = 0;
  };
  Random random(2);
  std::vector<Buffer> live(kLive);
  uint64_t checksum = 0;
  for (int i = 0; i < 25'000; ++i) {
    Buffer& buffer = live[random.Below(kLive)];
    for (size_t at = 0; at < buffer.bytes; at += 4096) {
      checksum += static_cast<unsigned char>(buffer.data[at]);
    }
    free(buffer.data);
    const unsigned shift = static_cast<unsigned>(random.Below(12));
    buffer.bytes = random.Between(size_t{1024} << shift, size_t{2048} << shift);
    const char fill = static_cast<char>(i);
    if (i % 4 != 0) {
      buffer.data = static_cast<char*>(malloc(buffer.bytes));
      std::memset(buffer.data, fill, buffer.bytes);
      continue;
    }
    buffer.data = nullptr;
    for (size_t filled = 0; filled < buffer.bytes;) {
      const size_t next = std::min(std::max<size_t>(filled * 2, 1024), buffer.bytes);
      buffer.data = static_cast<char*>(realloc(buffer.data, next));
      std::memset(buffer.data + filled, fill, next - filled);
      filled = next;
    }
  }
  for (Buffer& buffer : live) free(buffer.data);
  return checksum;
}

namespace {

struct Node {
  std::unique_ptr<Node> left;
  std::unique_ptr<Node> right;
  uint64_t value;
};

std::unique_ptr<Node> BuildTree(int depth, uint64_t value) {
  auto node = std::make_unique<Node>();
  node->value = value;
  if (depth > 0) {
    node->left = BuildTree(depth - 1, value * 2);
    node->right = BuildTree(depth - 1, value * 2 + 1);
  }
  return node;
}

uint64_t SumTree(const Node* node) {
  return node == nullptr ? 0 : node->value + SumTree(node->left.get()) + SumTree(node->right.get());
}

}  // namespace

// Small trees come and go while a large one stays.
uint64_t RunTree() {
  constexpr int kLargest = 20;
  const std::unique_ptr<Node> kept = BuildTree(kLargest, 1);
  uint64_t checksum = 0;
  for (int depth = 4; depth <= kLargest; depth += 4) {
    const int trees = 6 << (kLargest - depth);
    for (int i = 0; i < trees; ++i) checksum += SumTree(BuildTree(depth, i).get());
  }
  return checksum + SumTree(kept.get());
}

// What a text-processing program does: words into maps of vectors, lines put
// together, everything thrown away at intervals.
uint64_t RunStrings() {
  Random random(3);
  uint64_t checksum = 0;
  for (int document = 0; document < 50; ++document) {
    std::unordered_map<std::string, std::vector<uint32_t>> index;
    std::map<std::string, std::string> titles;
    std::vector<std::string> lines;
    for (uint32_t line = 0; line < 12'000; ++line) {
      std::string text;
      const uint64_t words = random.Between(3, 12);
      for (uint64_t w = 0; w < words; ++w) {
        // The lower of two draws: some words are common, most are rare.
        const uint64_t id = std::min(random.Below(30'000), random.Below(30'000));
        std::string word = "word-" + std::to_string(id) + std::string(id % 40, 'x');
        text += word;
        text += ' ';
        index[std::move(word)].push_back(line);
      }
      if (line % 8 == 0) titles["title " + text.substr(0, 30)] = text;
      lines.push_back(std::move(text));
      if (line % 16 == 15) titles.erase(titles.begin());
    }
    std::sort(lines.begin(), lines.end());
    for (const auto& [word, places] : index) checksum += word.size() * places.size();
    for (const auto& [title, text] : titles) checksum += title.size() + text.size();
    checksum += lines.front().size();
  }
  return checksum;
}

}  // namespace taskmem::bench
