// A hash table of nodes that somebody else allocates.
#ifndef TASKMEM_SPILL_NAMES_NODE_TABLE_H_
#define TASKMEM_SPILL_NAMES_NODE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "accounting/base/mutex.h"
#include "accounting/memory/memory_allocator.h"

namespace taskmem {

// A T from `source`; nullptr: there is no memory. Not below a lock: a source may take its
// own.
template <typename T, typename... Arguments>
T* MakeFrom(const MemorySource& source, Arguments&&... arguments) {
  void* const memory = source.allocate(sizeof(T), source.context);
  return memory == nullptr ? nullptr : new (memory) T(std::forward<Arguments>(arguments)...);
}

template <typename T>
void DestroyIn(const MemorySource& source, T* object) {
  if (object == nullptr) return;
  object->~T();
  source.free(object, source.context);
}

// A Node has `uint32_t hash() const` and `Node* next_in_table`, which is the table's. Not
// thread-safe. Nodes stay where they are. The table allocates nothing itself: it is given
// buckets, and without them its chains only get longer.
template <typename Node>
class NodeTable {
 public:
  constexpr NodeTable() = default;
  NodeTable(const NodeTable&) = delete;
  NodeTable& operator=(const NodeTable&) = delete;

  template <typename Matches>
  Node* Find(uint32_t hash, Matches matches) const {
    for (Node* node = buckets()[hash & (count_ - 1)]; node != nullptr; node = node->next_in_table) {
      if (node->hash() == hash && matches(*node)) return node;
    }
    return nullptr;
  }

  void Insert(Node* node) {
    Node** const bucket = &buckets()[node->hash() & (count_ - 1)];
    node->next_in_table = *bucket;
    *bucket = node;
    ++size_;
  }

  // The node must be in the table.
  void Erase(Node* node) {
    Node** link = &buckets()[node->hash() & (count_ - 1)];
    while (*link != node) link = &(*link)->next_in_table;
    *link = node->next_in_table;
    --size_;
  }

  // visit(Node&), which may erase that node.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (uint32_t i = 0; i < count_; ++i) {
      for (Node* node = buckets()[i]; node != nullptr;) {
        Node* const next = node->next_in_table;
        visit(*node);
        node = next;
      }
    }
  }

  uint32_t size() const { return size_; }

  // How many buckets it should have for one node more; 0: no more than it has.
  uint32_t WantedBuckets() const {
    return size_ >= count_ && count_ < kMaxBuckets ? count_ * 2 : 0;
  }

  // Takes `count` buckets, a power of two, all null. Returns buckets that nobody needs any
  // more, which may be those; nullptr: none.
  Node** Adopt(Node** more, uint32_t count) {
    if (count <= count_) return more;
    Node** const old = mapped_;
    Node** const from = buckets();
    const uint32_t old_count = count_;
    for (uint32_t i = 0; i < old_count; ++i) {
      for (Node* node = from[i]; node != nullptr;) {
        Node* const next = node->next_in_table;
        Node** const bucket = &more[node->hash() & (count - 1)];
        node->next_in_table = *bucket;
        *bucket = node;
        node = next;
      }
    }
    mapped_ = more;
    count_ = count;
    return old;
  }

  // Makes room for one node more, where there is memory. `mutex` guards the table and is
  // not held.
  void Prepare(Mutex& mutex, const MemorySource& source) {
    mutex.Lock();
    const uint32_t wanted = WantedBuckets();
    mutex.Unlock();
    if (wanted == 0) return;
    void* const memory = source.allocate(wanted * sizeof(Node*), source.context);
    if (memory == nullptr) return;
    Node** const more = static_cast<Node**>(memory);
    for (uint32_t i = 0; i < wanted; ++i) more[i] = nullptr;
    mutex.Lock();
    Node** const unneeded = Adopt(more, wanted);
    mutex.Unlock();
    if (unneeded != nullptr) source.free(unneeded, source.context);
  }

  // The nodes are somebody else's to destroy, before or after.
  void FreeBuckets(const MemorySource& source) {
    if (mapped_ != nullptr) source.free(mapped_, source.context);
    mapped_ = nullptr;
    count_ = kInline;
    size_ = 0;
    for (Node*& bucket : inline_) bucket = nullptr;
  }

 private:
  static constexpr uint32_t kInline = 32;
  static constexpr uint32_t kMaxBuckets = uint32_t{1} << 24;

  Node** buckets() const { return mapped_ != nullptr ? mapped_ : const_cast<Node**>(inline_); }

  Node* inline_[kInline] = {};
  Node** mapped_ = nullptr;
  uint32_t count_ = kInline;  // a power of two
  uint32_t size_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_NODE_TABLE_H_
