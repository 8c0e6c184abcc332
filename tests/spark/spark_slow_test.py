#!/usr/bin/python3
"""What takes longer than tests/spark/spark_test.py may: run where it is asked for."""

import glob
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem", "tests", "spark"))

from harness import JAR, MIB, SparkTest, own
from spark_test import ArbitrateTest


class NotArbitratedTest(SparkTest):

    def test_without_it_a_sort_does_not_keep_to_the_pool(self):
        ArbitrateTest.setUpClass()
        self.addCleanup(ArbitrateTest.doClassCleanups)
        answer, grown, _ = ArbitrateTest.sort("false")
        self.assertEqual(answer, "right")
        self.assertGreater(grown, ArbitrateTest.POOL_MIB * 1.3)


class QuotaTest(SparkTest):
    """An attempt at its native quota, while it holds a sorted partition in Spark's own pages."""

    def sort(self, arbitrates):
        return self.submit(
            ["120", "1200000", "after"], "local-cluster[1,2,1024]",
            self.with_plugin(
                "spark.memory.offHeap.enabled=true", "spark.memory.offHeap.size=1g",
                "spark.taskmem.arbitrate=" + arbitrates, "spark.taskmem.task.quota=200m",
                "spark.executor.killOnFatalError.depth=0", "spark.task.maxFailures=1",
                # As long as it takes to write a partition here.
                "spark.executorEnv.TASKMEM_SPILL_TIMEOUT=60s"),
            main="SortJob")[1]

    def test_sparks_operators_spill_for_native_memory(self):
        answer, _, spilled = self.sort("true")[0].split()
        self.assertEqual(answer, "right")
        self.assertGreater(int(spilled), 0)

    def test_without_it_the_attempt_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "NativeMemoryRefused: task .* refused 120.0 MiB"):
            self.sort("false")


class PythonTest(SparkTest):
    """PySpark's workers are of the attempts they work for."""

    def test_workers_are_shown_with_their_attempts(self):
        os.mkdir(self.path("events"))
        _, lines = self.submit(
            [], "local-cluster[1,2,512]",
            self.with_plugin(
                "spark.python.daemon.module=taskmem_daemon",
                "spark.executorEnv.PYTHONPATH=" + JAR, "spark.eventLog.enabled=true",
                "spark.eventLog.dir=" + self.path("events"),
                "spark.executorEnv.TASKMEM_STATS=" + self.path("left/%p.json")),
            program=own("tests/spark/python_job.py"), PYSPARK_PYTHON="/usr/bin/python3")
        peaks = {}
        with open(glob.glob(self.path("events/*"))[0], encoding="utf-8") as file:
            for line in file:
                event = json.loads(line)
                if event["Event"] != "SparkListenerTaskEnd":
                    continue
                for each in event["Task Info"]["Accumulables"]:
                    if each["Name"] == "native memory peak of Python":
                        peaks[event["Task Info"]["Task ID"]] = int(each["Update"])
        by_partition = dict(map(int, line.split()) for line in lines)
        held = [peaks[by_partition[partition]] for partition in range(4)]
        # Beside what the interpreter takes for itself, the same for all.
        for partition in range(1, 4):
            self.assertAlmostEqual(held[partition] - held[0], partition * 10 * MIB,
                                   delta=2 * MIB)
        self.assertLess(held[0], 30 * MIB)
        # In the workers' own tables the tasks have the attempts' ids.
        ids = set()
        for path in glob.glob(self.path("left/*.json")):
            with open(path, encoding="utf-8") as file:
                stats = json.load(file)
            if stats["process"].get("label") == "python worker":
                ids.update(task["task_id"] for task in stats["tasks"])
        self.assertLessEqual(set(by_partition.values()), ids)


if __name__ == "__main__":
    unittest.main(verbosity=2)
