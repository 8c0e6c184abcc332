#include "shim/contexts/list_by_place.h"

#include <gtest/gtest.h>

#include <vector>

namespace taskmem {
namespace {

struct Node {
  int number;
  Node* next = nullptr;
  Node** place = nullptr;
};

void Put(Node** head, Node* node) { ListFirst<&Node::next, &Node::place>(head, node); }
void Take(Node* node) { TakeOffList<&Node::next, &Node::place>(node); }

std::vector<int> Numbers(const Node* head) {
  std::vector<int> numbers;
  for (; head != nullptr; head = head->next) numbers.push_back(head->number);
  return numbers;
}

class ListByPlace : public testing::Test {
 protected:
  void SetUp() override {
    for (Node& node : nodes_) Put(&head_, &node);
  }
  Node nodes_[3] = {{1}, {2}, {3}};
  Node* head_ = nullptr;
};

TEST_F(ListByPlace, TheLastThatCameIsFirst) {
  EXPECT_EQ(Numbers(head_), std::vector<int>({3, 2, 1}));
}

TEST_F(ListByPlace, EachIsTakenOffByItself) {
  Take(&nodes_[1]);
  EXPECT_EQ(Numbers(head_), std::vector<int>({3, 1}));
  Take(&nodes_[2]);
  EXPECT_EQ(Numbers(head_), std::vector<int>({1}));
  Take(&nodes_[0]);
  EXPECT_EQ(head_, nullptr);
}

TEST_F(ListByPlace, OneThatIsOnNoListIsLeftAlone) {
  Take(&nodes_[1]);
  EXPECT_EQ(nodes_[1].place, nullptr);
  Take(&nodes_[1]);
  EXPECT_EQ(Numbers(head_), std::vector<int>({3, 1}));
  Put(&head_, &nodes_[1]);
  EXPECT_EQ(Numbers(head_), std::vector<int>({2, 3, 1}));
}

TEST_F(ListByPlace, GoesToAnotherList) {
  Node* other = nullptr;
  Take(&nodes_[2]);
  Put(&other, &nodes_[2]);
  EXPECT_EQ(Numbers(head_), std::vector<int>({2, 1}));
  EXPECT_EQ(Numbers(other), std::vector<int>({3}));
}

}  // namespace
}  // namespace taskmem
