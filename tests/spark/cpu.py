#!/usr/bin/python3
"""Processor time of five SQL queries on Spark in one process: with the plugin and its library, with
glibc and with Debian's libmimalloc. The JVM's compilers are left out. Rounds are interleaved, medians are compared.

    bazel run -c opt //tests/spark:cpu [-- ROWS ROUNDS]
"""

import ctypes.util
import math
import os
import statistics
import sys

if "TEST_SRCDIR" not in os.environ:
    os.environ["TEST_SRCDIR"] = os.path.dirname(os.getcwd())
sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem", "tests", "spark"))

from harness import SparkTest


class Cpu(SparkTest):

    CONFS = ("spark.memory.offHeap.enabled=true", "spark.memory.offHeap.size=512m",
             "spark.sql.shuffle.partitions=4", "spark.driver.memory=1g",
             "spark.driver.extraJavaOptions=-Xms1g -XX:+AlwaysPreTouch -XX:+UseSerialGC "
             "-XX:-UseDynamicNumberOfCompilerThreads")

    @classmethod
    def seconds(cls, kind, rows):
        """Of each query, and the answers."""
        confs, environment = list(cls.CONFS), {}
        if kind == "taskmem":
            confs += [conf for conf in cls.with_plugin() if "executorEnv" not in conf]
            environment = {"LD_PRELOAD": cls.path("libtaskmem.so"), "TASKMEM_TASK_BY": "none"}
        elif kind == "libmimalloc":
            environment = {"LD_PRELOAD": ctypes.util.find_library("mimalloc")}
        _, lines = cls.submit([str(rows), "2", "3"], "local[2]", confs, main="SqlJob", **environment)
        words = [line.split() for line in lines]
        return [float(word[0]) for word in words], [word[1] for word in words]


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    kinds = ["glibc", "libmimalloc", "taskmem"]
    Cpu.setUpClass()
    try:
        seconds = {kind: [] for kind in kinds}
        answers = set()
        for number in range(rounds):
            # Nobody is always the first.
            for kind in kinds[number % 3:] + kinds[:number % 3]:
                taken, answer = Cpu.seconds(kind, rows)
                print(number, kind, *taken, flush=True)
                seconds[kind].append(taken)
                answers.add(tuple(answer))
        assert len(answers) == 1, answers
    finally:
        Cpu.doClassCleanups()
    medians = {kind: [statistics.median(query) for query in zip(*seconds[kind])] for kind in kinds}
    for kind in kinds:
        print("%-12s" % kind, *("%6.2f s" % median for median in medians[kind]))
    for other in kinds[:2]:
        ratios = [own / its for own, its in zip(medians["taskmem"], medians[other])]
        print("taskmem / %-12s" % other, *("%.3f" % ratio for ratio in ratios), "geometric mean %.3f" %
              math.exp(statistics.mean(map(math.log, ratios))))


main()
