// Lists whose elements know the pointer that leads to them: each is taken off by itself.
#ifndef TASKMEM_SHIM_CONTEXTS_LIST_BY_PLACE_H_
#define TASKMEM_SHIM_CONTEXTS_LIST_BY_PLACE_H_

namespace taskmem {

// Puts `node` first. Not for one that is on a list.
template <auto kNext, auto kPlace, typename Node>
void ListFirst(Node** head, Node* node) {
  node->*kNext = *head;
  if (*head != nullptr) (*head)->*kPlace = &(node->*kNext);
  node->*kPlace = head;
  *head = node;
}

// Takes `node` off, where it is on a list: `kPlace` is nullptr then, as in one that never was.
template <auto kNext, auto kPlace, typename Node>
void TakeOffList(Node* node) {
  Node** const place = node->*kPlace;
  if (place == nullptr) return;
  *place = node->*kNext;
  if (*place != nullptr) (*place)->*kPlace = place;
  node->*kPlace = nullptr;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_LIST_BY_PLACE_H_
