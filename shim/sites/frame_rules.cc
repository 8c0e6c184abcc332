#include "shim/sites/frame_rules.h"

#include <cstddef>

namespace taskmem {
namespace {

// Reads at a place that only moves on; past the end it reads zeros and is no longer good.
class Reader {
 public:
  Reader(const uint8_t* at, const uint8_t* end) : at_(at), end_(end) {}
  explicit Reader(FrameBytes bytes) : at_(bytes.at), end_(bytes.end) {}

  bool good() const { return good_; }
  bool HasMore() const { return good_ && at_ < end_; }
  const uint8_t* at() const { return at_; }
  const uint8_t* end() const { return end_; }

  template <typename T>
  T Take() {
    T value = 0;
    if (!Has(sizeof(T))) return 0;
    __builtin_memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  void Skip(uint64_t bytes) {
    if (Has(bytes)) at_ += bytes;
  }

  FrameBytes TakeBytes(uint64_t bytes) {
    FrameBytes taken;
    if (!Has(bytes)) return taken;
    taken = {at_, at_ + bytes};
    at_ += bytes;
    return taken;
  }
  FrameBytes TakeBlock() { return TakeBytes(TakeUnsigned()); }

  uint64_t TakeUnsigned() {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }

  int64_t TakeSigned() {
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = Take<uint8_t>();
      if (shift < 64) value |= uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
  }

  // A pointer in one of the encodings of .eh_frame, relative to nothing or to itself.
  uint64_t TakePointer(uint8_t encoding) {
    const auto self = reinterpret_cast<uint64_t>(at_);
    uint64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c: value = Take<uint64_t>(); break;
      case 0x01: value = TakeUnsigned(); break;
      case 0x02: value = Take<uint16_t>(); break;
      case 0x03: value = Take<uint32_t>(); break;
      case 0x09: value = static_cast<uint64_t>(TakeSigned()); break;
      case 0x0a: value = static_cast<uint64_t>(int64_t{Take<int16_t>()}); break;
      case 0x0b: value = static_cast<uint64_t>(int64_t{Take<int32_t>()}); break;
      default: good_ = false;
    }
    constexpr uint8_t kRelativeToSelf = 0x10;
    if ((encoding & 0x70) == kRelativeToSelf) {
      value += self;
    } else if ((encoding & 0x70) != 0) {
      good_ = false;
    }
    return value;
  }

 private:
  bool Has(uint64_t bytes) {
    if (good_ && bytes <= static_cast<uint64_t>(end_ - at_)) return true;
    good_ = false;
    at_ = end_;
    return false;
  }

  const uint8_t* at_;
  const uint8_t* end_;
  bool good_ = true;
};

// What functions have in common (CIE).
struct Common {
  uint64_t code_factor = 1;
  int64_t data_factor = 1;
  uint8_t pointer_encoding = 0;
  bool has_augmentation = false;
  bool is_signal_frame = false;
  FrameBytes instructions;
};

const uint8_t* Bytes(uint64_t address) { return reinterpret_cast<const uint8_t*>(address); }

// The bytes of the entry at `address` behind its length; empty where it is none.
FrameBytes EntryAt(uint64_t address, uint64_t module_start, uint64_t module_end) {
  constexpr uint64_t kLengthBytes = 4;
  if (address < module_start || address >= module_end - kLengthBytes) return {};
  Reader reader(Bytes(address), Bytes(module_end));
  const auto length = reader.Take<uint32_t>();
  if (length == 0 || length == UINT32_MAX) return {};  // the end, or the 64-bit form
  return reader.TakeBytes(length);
}

bool ReadCommon(FrameBytes entry, Common* common) {
  Reader reader(entry);
  if (reader.Take<uint32_t>() != 0) return false;  // not a CIE
  const auto version = reader.Take<uint8_t>();
  if (version != 1 && version != 3) return false;
  const char* augmentation = reinterpret_cast<const char*>(reader.at());
  while (reader.good() && reader.Take<uint8_t>() != 0) {
  }
  common->code_factor = reader.TakeUnsigned();
  common->data_factor = reader.TakeSigned();
  const uint64_t return_register = version == 1 ? reader.Take<uint8_t>() : reader.TakeUnsigned();
  if (!reader.good() || return_register != kIpRegister) return false;
  if (augmentation[0] == 'z') {
    common->has_augmentation = true;
    const FrameBytes data = reader.TakeBlock();
    Reader details(data);
    for (const char* at = augmentation + 1; *at != '\0'; ++at) {
      switch (*at) {
        case 'R': common->pointer_encoding = details.Take<uint8_t>(); break;
        case 'P': {
          const auto encoding = details.Take<uint8_t>();
          details.TakePointer(encoding);
          break;
        }
        case 'L': details.Take<uint8_t>(); break;
        case 'S': common->is_signal_frame = true; break;
        case 'B': break;
        default: return false;
      }
    }
    if (!details.good()) return false;
  } else if (augmentation[0] != '\0') {
    return false;
  }
  common->instructions = {reader.at(), reader.end()};
  return reader.good();
}

// Executes call frame instructions until they speak of addresses above `ip`.
class Program {
 public:
  Program(const Common& common, uint64_t ip, FrameRules* remembered)
      : common_(common), ip_(ip), remembered_(remembered) {}

  void Begin(uint64_t location) { location_ = location; }
  void KeepAsInitial() { initial_ = rules_; }
  const FrameRules& rules() const { return rules_; }

  bool Run(FrameBytes instructions) {
    Reader reader(instructions);
    while (reader.HasMore() && location_ <= ip_) {
      const FrameRules before = rules_;
      const auto code = reader.Take<uint8_t>();
      if (!Execute(code, &reader)) return false;
      // The row that begins above ip is another's.
      if (location_ > ip_) rules_ = before;
    }
    return reader.good();
  }

 private:
  bool Execute(uint8_t code, Reader* reader) {
    const uint8_t low = code & 0x3f;
    switch (code >> 6) {
      case 1: return Advance(low);
      case 2:
        return Set(low, SavedRegister::kAt, Factored(static_cast<int64_t>(reader->TakeUnsigned())));
      case 3: return Restore(low);
      default: break;
    }
    switch (code) {
      case 0x00:  // nop
        return true;
      case 0x01:  // set_loc
        location_ = reader->TakePointer(common_.pointer_encoding);
        return true;
      case 0x02: return Advance(reader->Take<uint8_t>());
      case 0x03: return Advance(reader->Take<uint16_t>());
      case 0x04: return Advance(reader->Take<uint32_t>());
      case 0x05: {  // offset_extended
        const uint64_t number = reader->TakeUnsigned();
        return Set(number, SavedRegister::kAt,
                   Factored(static_cast<int64_t>(reader->TakeUnsigned())));
      }
      case 0x06:  // restore_extended
        return Restore(reader->TakeUnsigned());
      case 0x07:  // undefined
        return Set(reader->TakeUnsigned(), SavedRegister::kUndefined, 0);
      case 0x08:  // same_value
        return Set(reader->TakeUnsigned(), SavedRegister::kSame, 0);
      case 0x09: {  // register: kept in another, which is not followed
        const uint64_t number = reader->TakeUnsigned();
        reader->TakeUnsigned();
        return Set(number, SavedRegister::kUndefined, 0);
      }
      case 0x0a:  // remember_state
        if (remembered_count_ == kMostRememberedRules) return false;
        remembered_[remembered_count_++] = rules_;
        return true;
      case 0x0b:  // restore_state
        if (remembered_count_ == 0) return false;
        rules_ = remembered_[--remembered_count_];
        return true;
      case 0x0c: {  // def_cfa
        const uint64_t number = reader->TakeUnsigned();
        return DefineCfa(number, static_cast<int64_t>(reader->TakeUnsigned()));
      }
      case 0x0d:  // def_cfa_register
        return DefineCfa(reader->TakeUnsigned(), rules_.cfa_offset);
      case 0x0e:  // def_cfa_offset
        return DefineCfa(rules_.cfa_register, static_cast<int64_t>(reader->TakeUnsigned()));
      case 0x0f:  // def_cfa_expression
        rules_.cfa_expression = reader->TakeBlock();
        return !rules_.cfa_expression.IsEmpty();
      case 0x10:    // expression
      case 0x16: {  // val_expression
        const uint64_t number = reader->TakeUnsigned();
        SavedRegister* saved = Find(number);
        const FrameBytes block = reader->TakeBlock();
        if (saved == nullptr) return true;
        saved->kind = code == 0x10 ? SavedRegister::kAtComputed : SavedRegister::kComputed;
        saved->expression = block;
        return true;
      }
      case 0x11: {  // offset_extended_sf
        const uint64_t number = reader->TakeUnsigned();
        return Set(number, SavedRegister::kAt, Factored(reader->TakeSigned()));
      }
      case 0x12: {  // def_cfa_sf
        const uint64_t number = reader->TakeUnsigned();
        return DefineCfa(number, Factored(reader->TakeSigned()));
      }
      case 0x13:  // def_cfa_offset_sf
        return DefineCfa(rules_.cfa_register, Factored(reader->TakeSigned()));
      case 0x2e:  // GNU_args_size
        reader->TakeUnsigned();
        return true;
      default: return false;
    }
  }

  // Of damaged tables the product may be anything.
  int64_t Factored(int64_t offset) const {
    return static_cast<int64_t>(static_cast<uint64_t>(offset) *
                                static_cast<uint64_t>(common_.data_factor));
  }
  bool Advance(uint64_t delta) {
    location_ += delta * common_.code_factor;
    return true;
  }
  SavedRegister* Find(uint64_t number) {
    if (number == kBpRegister) return &rules_.bp;
    if (number == kIpRegister) return &rules_.ip;
    return nullptr;
  }
  bool Set(uint64_t number, SavedRegister::Kind kind, int64_t offset) {
    if (SavedRegister* saved = Find(number)) *saved = {kind, offset, {}};
    return true;
  }
  bool Restore(uint64_t number) {
    if (number == kBpRegister) rules_.bp = initial_.bp;
    if (number == kIpRegister) rules_.ip = initial_.ip;
    return true;
  }
  bool DefineCfa(uint64_t number, int64_t offset) {
    rules_.cfa_register = number;
    rules_.cfa_offset = offset;
    rules_.cfa_expression = {};
    return true;
  }

  const Common& common_;
  const uint64_t ip_;
  uint64_t location_ = 0;
  FrameRules rules_;
  FrameRules initial_;
  FrameRules* const remembered_;
  int remembered_count_ = 0;
};

// The address of the function entry (FDE) that may hold `ip`, by the sorted table that linkers
// make. 0: there is none.
uint64_t FindEntry(const void* table, uint64_t module_end, uint64_t ip) {
  const auto base = reinterpret_cast<uint64_t>(table);
  Reader header(Bytes(base), Bytes(module_end));
  constexpr uint8_t kVersion = 1;
  constexpr uint8_t kCountEncoding = 0x03;  // udata4
  constexpr uint8_t kTableEncoding = 0x3b;  // sdata4, relative to the table
  if (header.Take<uint8_t>() != kVersion) return 0;
  const auto frame_encoding = header.Take<uint8_t>();
  if (header.Take<uint8_t>() != kCountEncoding || header.Take<uint8_t>() != kTableEncoding) {
    return 0;
  }
  header.TakePointer(frame_encoding);
  const uint64_t count = header.Take<uint32_t>();
  struct Row {
    int32_t start;
    int32_t entry;
  };
  if (!header.good() || count == 0) return 0;
  const FrameBytes bytes = header.TakeBytes(count * sizeof(Row));
  if (bytes.IsEmpty()) return 0;
  const auto row_at = [&](uint64_t index) {
    Row row;
    __builtin_memcpy(&row, bytes.at + index * sizeof(Row), sizeof(Row));
    return row;
  };
  uint64_t low = 0;
  uint64_t high = count;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    if (base + static_cast<uint64_t>(int64_t{row_at(middle).start}) <= ip) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return base + static_cast<uint64_t>(int64_t{row_at(low).entry});
}

}  // namespace

bool FindFrameRules(const void* table, uint64_t module_start, uint64_t module_end, uint64_t ip,
                    FrameRules* remembered, FrameRules* rules) {
  const uint64_t address = FindEntry(table, module_end, ip);
  const FrameBytes entry = EntryAt(address, module_start, module_end);
  if (entry.IsEmpty()) return false;
  Reader reader(entry);
  const auto distance = reader.Take<uint32_t>();
  if (distance == 0) return false;  // a CIE
  Common common;
  const FrameBytes common_entry =
      EntryAt(reinterpret_cast<uint64_t>(entry.at) - distance, module_start, module_end);
  if (common_entry.IsEmpty() || !ReadCommon(common_entry, &common)) return false;
  const uint64_t start = reader.TakePointer(common.pointer_encoding);
  const uint64_t bytes = reader.TakePointer(common.pointer_encoding & 0x0f);
  if (!reader.good() || ip < start || ip - start >= bytes) return false;
  if (common.has_augmentation) reader.TakeBlock();
  Program program(common, ip, remembered);
  if (!program.Run(common.instructions)) return false;
  program.KeepAsInitial();
  program.Begin(start);
  if (!program.Run({reader.at(), reader.end()})) return false;
  *rules = program.rules();
  rules->is_signal_frame = common.is_signal_frame;
  return reader.good();
}

bool ComputeExpression(FrameBytes expression, const ExpressionHost& host, bool has_cfa,
                       uint64_t cfa, uint64_t* result) {
  constexpr int kMostValues = 16;
  uint64_t values[kMostValues];
  int count = 0;
  bool good = true;
  const auto push = [&](uint64_t value) {
    if (count == kMostValues) {
      good = false;
    } else {
      values[count++] = value;
    }
  };
  const auto pop = [&]() -> uint64_t {
    if (count == 0) {
      good = false;
      return 0;
    }
    return values[--count];
  };
  if (has_cfa) push(cfa);
  Reader reader(expression);
  while (good && reader.HasMore()) {
    const auto code = reader.Take<uint8_t>();
    if (code >= 0x30 && code <= 0x4f) {  // lit0..31
      push(code - 0x30u);
      continue;
    }
    if (code >= 0x70 && code <= 0x8f) {  // breg0..31
      const uint64_t number = code - 0x70u;
      const auto offset = static_cast<uint64_t>(reader.TakeSigned());
      if (number == kSpRegister) {
        push(host.sp + offset);
      } else if (number == kBpRegister) {
        push(host.bp + offset);
      } else if (number == kIpRegister) {
        push(host.ip + offset);
      } else {
        return false;
      }
      continue;
    }
    switch (code) {
      case 0x06: {  // deref
        uint64_t word = 0;
        if (!host.read(host.context, pop(), &word)) return false;
        push(word);
        break;
      }
      case 0x08: push(reader.Take<uint8_t>()); break;
      case 0x09: push(static_cast<uint64_t>(int64_t{reader.Take<int8_t>()})); break;
      case 0x0a: push(reader.Take<uint16_t>()); break;
      case 0x0b: push(static_cast<uint64_t>(int64_t{reader.Take<int16_t>()})); break;
      case 0x0c: push(reader.Take<uint32_t>()); break;
      case 0x0d: push(static_cast<uint64_t>(int64_t{reader.Take<int32_t>()})); break;
      case 0x10: push(reader.TakeUnsigned()); break;
      case 0x11: push(static_cast<uint64_t>(reader.TakeSigned())); break;
      case 0x12: {  // dup
        const uint64_t value = pop();
        push(value);
        push(value);
        break;
      }
      case 0x13:  // drop
        pop();
        break;
      case 0x1a: {
        const uint64_t right = pop();
        push(pop() & right);
        break;
      }
      case 0x1c: {
        const uint64_t right = pop();
        push(pop() - right);
        break;
      }
      case 0x1e: {
        const uint64_t right = pop();
        push(pop() * right);
        break;
      }
      case 0x21: {
        const uint64_t right = pop();
        push(pop() | right);
        break;
      }
      case 0x22: {
        const uint64_t right = pop();
        push(pop() + right);
        break;
      }
      case 0x23: push(pop() + reader.TakeUnsigned()); break;
      case 0x24: {
        const uint64_t right = pop();
        push(right < 64 ? pop() << right : pop() & 0);
        break;
      }
      case 0x25: {
        const uint64_t right = pop();
        push(right < 64 ? pop() >> right : pop() & 0);
        break;
      }
      case 0x2a: {  // ge
        const auto right = static_cast<int64_t>(pop());
        push(static_cast<int64_t>(pop()) >= right ? 1 : 0);
        break;
      }
      default: return false;
    }
  }
  *result = pop();
  return good && reader.good();
}

}  // namespace taskmem
