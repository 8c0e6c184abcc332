#!/usr/bin/python3
"""What takes longer than tests/spark/spark_test.py may: run where it is asked for."""

import glob
import json
import os
import re
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem", "tests", "spark"))

from harness import JAR, MIB, SPARK, ArbitrateTest, Attempt, SparkTest, own


class ArbitratedTest(ArbitrateTest):

    def test_native_memory_and_a_sort_keep_to_the_pool(self):
        answer, grown, spilled = self.sort("true")
        self.assertEqual(answer, "right")
        # What the JVM itself grows by is in it.
        self.assertLess(grown, self.POOL_MIB * 1.08)
        self.assertGreater(spilled, 0)


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
        answer, _, spilled = self.sort("true")[0].split()[:3]
        self.assertEqual(answer, "right")
        self.assertGreater(int(spilled), 0)

    def test_without_it_the_attempt_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "NativeMemoryRefused: task .* refused 120.0 MiB"):
            self.sort("false")


class SparksOwnPeakTest(SparkTest):
    """What Spark says its operators had of its off-heap pool at most."""

    def test_a_sort_has_what_spark_says(self):
        _, lines = self.submit(
            ["0", "2400000", "before"], "local-cluster[1,2,1024]",
            self.with_plugin("spark.memory.offHeap.enabled=true", "spark.memory.offHeap.size=1g"),
            main="SortJob")
        peaks = [int(word) for word in lines[0].split()[3:]]
        self.assertEqual(len(peaks), 4)
        for native, of_spark in zip(peaks[::2], peaks[1::2]):
            self.assertGreater(of_spark, 100 * MIB)
            self.assertAlmostEqual(native, of_spark, delta=of_spark * 0.03)


class PythonTest(SparkTest):
    """PySpark's workers are of the attempts they work for."""

    # The jar, in the folder of each executor, where Spark copies it to.
    DAEMON = ("spark.python.daemon.module=taskmem_daemon",
              "spark.executorEnv.PYTHONPATH=" + os.path.basename(JAR))

    @classmethod
    def work(cls, confs):
        return cls.submit([], "local-cluster[1,2,512]", confs,
                          program=own("tests/spark/python_job.py"), PYSPARK_PYTHON="/usr/bin/python3")

    def test_without_the_library_workers_work_as_ever(self):
        confs = self.with_plugin(*self.DAEMON)
        confs = [conf for conf in confs if "LD_PRELOAD" not in conf]
        log, lines = self.work(confs)
        self.assertEqual(sorted(int(line.split()[0]) for line in lines), [0, 1, 2, 3])
        self.assertIn("libtaskmem.so is not preloaded", self.executor_logs())
        self.assertNotIn("Lost task", log)

    def test_workers_are_shown_with_their_attempts(self):
        os.mkdir(self.path("events"))
        _, lines = self.work(self.with_plugin(
            *self.DAEMON, "spark.eventLog.enabled=true", "spark.eventLog.dir=" + self.path("events"),
            "spark.executorEnv.TASKMEM_STATS=" + self.path("left/%p.json")))
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


class StandaloneTest(SparkTest):
    """A master and a worker, daemons on loopback: executors are the worker's children."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.master = cls.daemon("Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        url = cls.wait_for(cls.master, r"Starting Spark master at (spark://\S+)")
        worker = cls.daemon("Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "2",
                            "--memory", "1g", url)
        cls.wait_for(worker, r"Successfully registered with master (\S+)")
        cls.log, lines = cls.submit(
            ["warm", "unsafe", "retry", "many"], url,
            cls.with_plugin("spark.executor.cores=2",
                            "spark.executorEnv.TASKMEM_STATS=" + cls.path("left/%p.json")))
        cls.attempts = [Attempt(line) for line in lines]

    @classmethod
    def daemon(cls, name, *arguments):
        log = open(cls.path(name), "w+b")
        cls.addClassCleanup(log.close)
        started = subprocess.Popen(
            [os.path.join(SPARK, "bin", "spark-class"), "org.apache.spark.deploy.%s.%s" %
             (name.lower(), name), *arguments], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, cwd=cls.folder,
            env={**os.environ, "SPARK_HOME": cls.path("spark"), "SPARK_LOCAL_IP": "127.0.0.1"})
        cls.addClassCleanup(started.wait)
        cls.addClassCleanup(started.kill)
        return log.name

    @classmethod
    def wait_for(cls, path, pattern):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with open(path, encoding="utf-8") as file:
                found = re.search(pattern, file.read())
            if found:
                return found.group(1)
            time.sleep(0.1)
        raise AssertionError("%s says nothing of %s" % (path, pattern))

    def test_peaks_are_those_of_the_attempts(self):
        for kind, count in [("unsafe", 4), ("retry", 5)]:
            attempts = [each for each in self.attempts if each.kind == kind]
            self.assertEqual(len(attempts), count)
            for attempt in attempts:
                self.assertAlmostEqual(int(attempt.peak), attempt.expected(),
                                       delta=attempt.expected() * 0.05)

    def test_a_thousand_attempts_have_a_task_each(self):
        attempts = [each for each in self.attempts if each.kind == "many"]
        self.assertEqual(len(attempts), 1000)
        # Beside what the JVM loads in them.
        for attempt in attempts:
            self.assertGreaterEqual(int(attempt.peak), 2 * MIB)
            self.assertLess(int(attempt.peak), 4 * MIB)
        self.assertNotIn("cannot be begun", self.executor_logs())


if __name__ == "__main__":
    unittest.main(verbosity=2)
