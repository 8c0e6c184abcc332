#!/usr/bin/python3
"""What takes longer than tests/spark/spark_test.py may: run where it is asked for."""

import ctypes
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
        most = 0
        # Its attempts may peak one after the other.
        for _ in range(3):
            answer, grown, _ = ArbitrateTest.sort("false")
            self.assertEqual(answer, "right")
            most = max(most, grown)
            if most > ArbitrateTest.POOL_MIB * 1.3:
                break
        self.assertGreater(most, ArbitrateTest.POOL_MIB * 1.3)


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


class OverflowTest(SparkTest):

    def test_what_is_beyond_the_quota_goes_into_the_file(self):
        _, lines = self.submit(
            ["warm", "refused"], "local-cluster[1,1,512]",
            self.with_plugin("spark.taskmem.task.quota=64m", "spark.executorEnv.TASKMEM_OVERFLOW=1",
                             "spark.executorEnv.TASKMEM_SPILL_DIR=" + self.folder))
        attempts = [Attempt(line) for line in lines if line.startswith("attempt refused ")]
        self.assertEqual([attempt.end for attempt in attempts], ["ok"])
        self.assertLess(int(attempts[0].peak), 65 * MIB)


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
            *self.DAEMON, "spark.eventLog.enabled=true", "spark.eventLog.rolling.enabled=false",
            "spark.eventLog.compress=false", "spark.eventLog.dir=" + self.path("events"),
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


def zstd_context_bytes(level):
    """What a context for a stream takes, as zstd itself counts."""
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_createCCtx.restype = ctypes.c_void_p
    zstd.ZSTD_sizeof_CCtx.restype = ctypes.c_size_t

    class Buffer(ctypes.Structure):
        _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("used", ctypes.c_size_t)]

    context = ctypes.c_void_p(zstd.ZSTD_createCCtx())
    zstd.ZSTD_CCtx_setParameter(context, 100, level)
    source, to = ctypes.create_string_buffer(1000), ctypes.create_string_buffer(1 << 16)
    zstd.ZSTD_compressStream2(
        context, ctypes.byref(Buffer(ctypes.addressof(to), len(to), 0)),
        ctypes.byref(Buffer(ctypes.addressof(source), len(source), 0)), 1)
    return zstd.ZSTD_sizeof_CCtx(context)


class StandaloneTest(SparkTest):
    """A master and two workers, daemons on loopback: executors are the workers' children."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        master = cls.daemon("Master", "127.0.0.1")
        url = cls.wait_for(master, r"Starting Spark master at (spark://\S+)")
        # Spark runs no attempt twice on one host.
        for address in ["127.0.0.1", "127.0.0.2"]:
            worker = cls.daemon("Worker", address, "--cores", "2", "--memory", "1g", url)
            cls.wait_for(worker, r"Successfully registered with master (\S+)")
        confs = cls.with_plugin("spark.executor.cores=2",
                                "spark.executorEnv.TASKMEM_STATS=" + cls.path("left/%p.json"))
        _, lines = cls.submit(
            ["warm", "unsafe", "retry", "lz4", "snappy", "zstd", "many", "killed"], url, confs)
        cls.attempts = [Attempt(line) for line in lines]
        cls.killed = [attempt for attempt in cls.attempts
                      if attempt.kind == "killed" and attempt.partition == 1 and attempt.number == "0"]
        cls.peaks_left_of_killed = cls.peaks_left(
            [attempt.id for attempt in cls.attempts if attempt.kind == "killed"])
        _, lines = cls.submit(
            ["warm", "speculated"], url,
            [*confs, "spark.speculation=true", "spark.speculation.interval=100ms",
             "spark.speculation.quantile=0.5", "spark.speculation.minTaskRuntime=100ms"])
        cls.speculated = [attempt for attempt in map(Attempt, lines) if attempt.kind == "speculated"]
        cls.peaks_left_of_speculated = cls.peaks_left([attempt.id for attempt in cls.speculated])

    @classmethod
    def peaks_left(cls, ids):
        """Peaks of these tasks in the tables that executors leave: that of one that was killed, as the
        worker does at the end, is written by whoever reads next. The tables are gone afterwards."""
        peaks = {}
        deadline = time.monotonic() + 120
        while not set(ids) <= set(peaks):
            if time.monotonic() > deadline:
                raise AssertionError("%s are in none of the tables: %s" % (ids, peaks))
            subprocess.run([cls.path("taskmem"), "ps"], capture_output=True, check=True, timeout=60,
                           env={"TASKMEM_STATS_DIR": cls.path("stats")})
            for path in glob.glob(cls.path("left/*.json")):
                try:
                    with open(path, encoding="utf-8") as file:
                        stats = json.load(file)
                except ValueError:
                    continue  # it is being written
                os.unlink(path)
                if (stats["process"]["label"] or "").startswith("executor "):
                    for task in stats["tasks"]:
                        peaks[str(task["task_id"])] = task["peak_charged_bytes"]
            time.sleep(0.1)
        return peaks

    @classmethod
    def daemon(cls, name, address, *arguments):
        log = open(cls.path(name + " " + address), "w+b")
        cls.addClassCleanup(log.close)
        started = subprocess.Popen(
            [os.path.join(SPARK, "bin", "spark-class"), "org.apache.spark.deploy.%s.%s" %
             (name.lower(), name), "--host", address, "--port", "0", "--webui-port", "0", *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cls.folder,
            env={**os.environ, "SPARK_HOME": cls.path("spark"), "SPARK_LOCAL_IP": address})
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

    def of(self, kind):
        return [each for each in self.attempts if each.kind == kind]

    def assert_near(self, bytes_seen, expected):
        self.assertAlmostEqual(int(bytes_seen), expected, delta=expected * 0.05)

    def test_peaks_are_those_of_the_attempts(self):
        for kind, count in [("unsafe", 4), ("retry", 5), ("lz4", 4), ("snappy", 4)]:
            self.assertEqual(len(self.of(kind)), count)
            for attempt in self.of(kind):
                with self.subTest(kind=kind, partition=attempt.partition):
                    self.assert_near(attempt.peak, attempt.expected())

    def test_contexts_of_zstd_are_as_large_as_zstd_says(self):
        context = zstd_context_bytes(level=3)
        self.assertEqual(len(self.of("zstd")), 4)
        for attempt in self.of("zstd"):
            self.assert_near(attempt.peak, 3 * (attempt.partition + 1) * context)

    def test_a_thousand_attempts_have_a_task_each(self):
        attempts = self.of("many")
        self.assertEqual(len(attempts), 1000)
        # Beside what the JVM loads in them.
        for attempt in attempts:
            self.assertGreaterEqual(int(attempt.peak), 2 * MIB)
            self.assertLess(int(attempt.peak), 4 * MIB)
        self.assertNotIn("cannot be begun", self.executor_logs())

    def test_an_executor_that_is_killed_leaves_its_table(self):
        self.assertEqual([(each.end, each.peak) for each in self.killed], [("failed", "-")])
        self.assert_near(self.peaks_left_of_killed[self.killed[0].id], self.killed[0].expected())
        done = [each for each in self.of("killed") if each.end == "ok"]
        self.assertEqual(sorted(each.partition for each in done), [0, 1, 2, 3])

    def test_an_attempt_that_is_run_twice_is_two_tasks(self):
        of_last = [each for each in self.speculated if each.partition == 3]
        self.assertEqual(sorted((each.number, each.end) for each in of_last),
                         [("0", "failed"), ("1", "ok")])
        for attempt in of_last:
            self.assert_near(self.peaks_left_of_speculated[attempt.id], attempt.expected())
        for attempt in self.speculated:
            if attempt.end == "ok":
                self.assert_near(attempt.peak, attempt.expected())


if __name__ == "__main__":
    unittest.main(verbosity=2)
