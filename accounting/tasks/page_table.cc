#include "accounting/tasks/page_table.h"

#include <bit>

#include "accounting/base/kernel_memory.h"

namespace taskmem {

int PageNumbers::Allocate() {
  constexpr int kWords = kPageTableSize / 64;
  while (lowest_word_ < kWords && taken_[lowest_word_] == UINT64_MAX) ++lowest_word_;
  if (lowest_word_ == kWords) return -1;
  uint64_t& word = taken_[lowest_word_];
  const int bit = std::countr_one(word);
  word |= uint64_t{1} << bit;
  ++taken_count_;
  return lowest_word_ * 64 + bit;
}

void PageNumbers::Free(int number) {
  taken_[number / 64] &= ~(uint64_t{1} << (number % 64));
  --taken_count_;
  if (number / 64 < lowest_word_) lowest_word_ = number / 64;
}

bool PageNumbers::IsTaken(int number) const {
  return number >= 0 && number < kPageTableSize && (taken_[number / 64] >> (number % 64) & 1) != 0;
}

void PageNumbers::Clear() { *this = PageNumbers{}; }

namespace {

// Written under the lock, read without it.
template <typename T>
T Load(const T& value) {
  return std::atomic_ref<T>(const_cast<T&>(value)).load(std::memory_order_acquire);
}

template <typename T>
void Store(T& value, T to) {
  std::atomic_ref<T>(value).store(to, std::memory_order_release);
}

bool IsPageNumber(int number) { return number >= 0 && number < kPageTableSize; }

}  // namespace

// Begins with all bits zero.
struct PageTable::Mapped {
  PageNumbers numbers;
  Page pages[kPageTableSize];
};

PageTable::~PageTable() {
  if (Mapped* const mapped = mapped_.load(std::memory_order_relaxed)) {
    Unmap(mapped, sizeof(Mapped));
  }
}

bool PageTable::Map() {
  auto* const mapped = static_cast<Mapped*>(MapZeroed(sizeof(Mapped)));
  mapped_.store(mapped, std::memory_order_release);
  return mapped != nullptr;
}

int PageTable::Reserve() {
  if (mapped_.load(std::memory_order_relaxed) == nullptr && !Map()) return kNoMemory;
  const int number = mapped_.load(std::memory_order_relaxed)->numbers.Allocate();
  return number < 0 ? kFull : number;
}

void PageTable::Unreserve(int number) {
  mapped_.load(std::memory_order_relaxed)->numbers.Free(number);
}

bool PageTable::IsReserved(int number) const {
  const Mapped* const mapped = mapped_.load(std::memory_order_relaxed);
  return mapped != nullptr && mapped->numbers.IsTaken(number);
}

PageNumbers PageTable::reserved() const {
  const Mapped* const mapped = mapped_.load(std::memory_order_relaxed);
  return mapped != nullptr ? mapped->numbers : PageNumbers{};
}

uint64_t PageTable::Put(int number, char* base, int64_t size) {
  Page& page = mapped_.load(std::memory_order_relaxed)->pages[number];
  page.size = size;
  Store(page.base, base);
  Store(page.serial, ++last_serial_);
  ++live_pages_;
  return last_serial_;
}

PageTable::Page PageTable::Take(int number, uint64_t serial, bool keep_number) {
  const Page taken = Get(number);
  if (taken.base == nullptr || taken.serial != serial) return {};
  Mapped* const mapped = mapped_.load(std::memory_order_relaxed);
  Store(mapped->pages[number].serial, uint64_t{0});
  Store<char*>(mapped->pages[number].base, nullptr);
  if (!keep_number) mapped->numbers.Free(number);
  --live_pages_;
  return taken;
}

PageTable::Page PageTable::Get(int number) const {
  const Mapped* const mapped = mapped_.load(std::memory_order_relaxed);
  if (mapped == nullptr || !IsPageNumber(number)) return {};
  return mapped->pages[number];
}

char* PageTable::BaseOf(int number) const {
  const Mapped* const mapped = mapped_.load(std::memory_order_acquire);
  if (mapped == nullptr || !IsPageNumber(number)) return nullptr;
  return Load(mapped->pages[number].base);
}

char* PageTable::BaseOf(int number, uint64_t serial) const {
  char* const base = BaseOf(number);
  if (base == nullptr ||
      Load(mapped_.load(std::memory_order_acquire)->pages[number].serial) != serial) {
    return nullptr;
  }
  return base;
}

}  // namespace taskmem
