#include "spill/names/block_id.h"

#include <cstring>

#include "accounting/base/name_hash.h"

namespace taskmem {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// What is left to read of a name.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool AtEnd() const { return text_.empty(); }

  bool Skip(std::string_view word) {
    if (text_.size() < word.size() || memcmp(text_.data(), word.data(), word.size()) != 0) {
      return false;
    }
    text_.remove_prefix(word.size());
    return true;
  }

  // One digit or more. False for a number that is none of Spark's ints or longs, too.
  bool SkipNumber(int64_t limit, int64_t* number = nullptr) {
    if (AtEnd() || !IsDigit(text_.front())) return false;
    int64_t value = 0;
    for (; !AtEnd() && IsDigit(text_.front()); text_.remove_prefix(1)) {
      const int digit = text_.front() - '0';
      if (value > (limit - digit) / 10) return false;
      value = value * 10 + digit;
    }
    if (number != nullptr) *number = value;
    return true;
  }

  template <typename IsOne>
  void SkipWhile(IsOne is_one) {
    while (!AtEnd() && is_one(text_.front())) text_.remove_prefix(1);
  }

 private:
  std::string_view text_;
};

// What a form stands for: 'i' and 'l' an int and a long, 'h' hexadecimal digits and dashes,
// 'w' letters, digits and underscores, or none, '*' anything.
bool Matches(std::string_view name, const char* form) {
  Reader reader(name);
  for (const char* at = form; *at != '\0'; ++at) {
    if (*at != '%') {
      if (!reader.Skip(std::string_view(at, 1))) return false;
      continue;
    }
    switch (*++at) {
      case 'i':
        if (!reader.SkipNumber(INT32_MAX)) return false;
        break;
      case 'l':
        if (!reader.SkipNumber(INT64_MAX)) return false;
        break;
      case 'h':
        if (reader.AtEnd()) return false;
        reader.SkipWhile([](char c) {
          return IsDigit(c) || c == '-' || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        });
        break;
      case 'w':
        reader.SkipWhile([](char c) { return IsDigit(c) || IsLetter(c) || c == '_'; });
        break;
      default: reader.SkipWhile([](char) { return true; }); break;
    }
  }
  return reader.AtEnd();
}

constexpr const char* kForms[] = {
    "rdd_%i_%i",
    "shuffle_%i_%l_%i",
    "shuffle_%i_%l_%i_%i",
    "shuffle_%i_%l_%i.data",
    "shuffle_%i_%l_%i.index",
    "shuffle_%i_%l_%i.checksum.%w",
    "shufflePush_%i_%i_%i_%i",
    "shuffleChunk_%i_%i_%i_%i",
    "broadcast_%l%w",
    "taskresult_%l",
    "input-%i-%l",
    "python-stream-%i-%l",
    "temp_local_%h",
    "temp_shuffle_%h",
    "test_%*",
};

uint32_t HashOf(std::string_view name) {
  const uint64_t hash = NameHash(name);
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

}  // namespace

// What lies behind the NUL does not matter.
void BlockId::Assign(std::string_view name) {
  rdd_id_ = RddIdOf(name);
  hash_ = HashOf(name);
  length_ = static_cast<uint8_t>(name.size());
  memcpy(name_, name.data(), name.size());
  name_[name.size()] = '\0';
}

bool BlockId::FromName(std::string_view name, BlockId* id) {
  if (name.empty() || name.size() > kMaxNameBytes) return false;
  if (name.find('\0') != name.npos) return false;
  id->Assign(name);
  return true;
}

bool BlockId::Parse(std::string_view name, BlockId* id) {
  for (const char* form : kForms) {
    if (Matches(name, form)) return FromName(name, id);
  }
  return false;
}

int64_t BlockId::RddIdOf(std::string_view name) {
  Reader reader(name);
  int64_t rdd = 0;
  const bool is_rdd = reader.Skip("rdd_") && reader.SkipNumber(INT32_MAX, &rdd) &&
                      reader.Skip("_") && reader.SkipNumber(INT32_MAX) && reader.AtEnd();
  return is_rdd ? rdd : kNoRdd;
}

}  // namespace taskmem
