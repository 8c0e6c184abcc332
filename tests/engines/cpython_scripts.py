#!/usr/bin/python3
"""cpython_scripts.py NAME: one of five scripts that make many small objects."""

import json
import sys


def dicts():
    total = 0
    for _ in range(6):
        kept = [{"number": number, "other": number + 1} for number in range(100000)]
        groups = {}
        for row in kept:
            groups.setdefault(row["number"] % 5000, []).append(row)
        total += sum(row["number"] for row in kept) + len(groups)
    return total


class Node:
    __slots__ = ("left", "right", "value")

    def __init__(self, left, right, value):
        self.left, self.right, self.value = left, right, value


def make_tree(depth):
    if depth == 0:
        return Node(None, None, 1)
    return Node(make_tree(depth - 1), make_tree(depth - 1), depth)


def add_up(node):
    if node.left is None:
        return node.value
    return node.value + add_up(node.left) + add_up(node.right)


def objects():
    total = 0
    for _ in range(12):
        total += add_up(make_tree(14)) + sum(add_up(make_tree(8)) for _ in range(60))
    return total


def strings():
    rows = [{"id": i, "name": f"user {i}", "tags": [f"a{i % 7}", f"b{i % 13}"], "score": i * 1.5,
             "nested": {"x": i, "y": [i, i + 1, i + 2]}} for i in range(5000)]
    total = 0
    for _ in range(8):
        text = json.dumps(rows)
        words = text.replace('"', " ").split()
        total += len(json.loads(text)) + len(set(words)) + len(",".join(map(str.upper, words)))
        total += sum(len(f"{word}:{i}") for i, word in enumerate(words[:30000]))
    return total


def lists():
    total, random = 0, 12345
    for _ in range(4):
        pairs = []
        for i in range(100000):
            random = (random * 1103515245 + 12345) & 0x7fffffff
            pairs.append((random % 10007, float(i)))
        pairs.sort()
        total += len(sorted(pairs, key=lambda pair: -pair[1]))
        total += len([[first, first + 1] for first, _ in pairs[:50000]])
        total += int(sum(map(sum, [[float(i * j) for j in range(60)] for i in range(600)])))
    return total


class Packet:
    def __init__(self, ident):
        self.ident, self.kind, self.data = ident, 1, [0] * 4


class Task:
    def __init__(self):
        self.queue, self.count = [], 0

    def step(self):
        if not self.queue:
            return None
        self.count += 1
        return Packet(self.queue.pop(0).ident + 1)


class Variable:
    def __init__(self, name, value):
        self.name, self.value, self.constraints = name, value, []


class Constraint:
    def __init__(self, left, right):
        self.left, self.right = left, right

    def satisfy(self):
        self.right.value = max(self.left.value, self.right.value)


def classes():
    total = 0
    for _ in range(12):
        tasks = [Task() for _ in range(6)]
        tasks[0].queue.append(Packet(0))
        for i in range(30000):
            packet = tasks[i % 6].step()
            if packet is not None:
                following = tasks[(i + 1) % 6]
                following.queue = following.queue + [packet]
        variables = [Variable(f"v{i}", i * 7919 % 1013) for i in range(8000)]
        for left, right in zip(variables, variables[1:]):
            left.constraints.append(Constraint(left, right))
        for variable in variables:
            for constraint in variable.constraints:
                constraint.satisfy()
        total += tasks[3].count + variables[-1].value
    return total


SCRIPTS = {"dicts": dicts, "objects": objects, "strings": strings, "lists": lists,
           "classes": classes}

if __name__ == "__main__":
    print(SCRIPTS[sys.argv[1]]())
