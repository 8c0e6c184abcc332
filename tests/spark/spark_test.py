#!/usr/bin/python3
"""The plugin on real Spark 3.5.7: a driver and executors (local-cluster) on this machine alone.

Two applications run once for many tests: one with the plugin and a quota, and one whose threads'
names make the tasks."""

import glob
import json
import os
import re
import subprocess
import sys
import unittest
import zipfile

sys.path.insert(0, os.path.join(os.environ["TEST_SRCDIR"], "taskmem", "tests", "spark"))

from harness import JAR, JOBS, MIB, SECONDS, SPARK, Attempt, SparkTest


class PluginTest(SparkTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.log, cls.lines = cls.submit(
            ["warm", "unsafe", "small", "direct", "retry", "leak", "refused", "ui"], "local-cluster[2,2,512]",
            cls.with_plugin(
                "spark.ui.enabled=true", "spark.ui.port=0",
                "spark.taskmem.task.quota=64m", "spark.executor.killOnFatalError.depth=0",
                "spark.taskmem.report.interval=1s",
                "spark.executorEnv.TASKMEM_STATS=" + cls.path("left/%l-%p.json")))
        cls.attempts = [Attempt(line) for line in cls.lines if line.startswith("attempt ")]

    def of(self, kind):
        return [attempt for attempt in self.attempts if attempt.kind == kind]

    def assert_peaks(self, attempts):
        for attempt in attempts:
            with self.subTest(kind=attempt.kind, partition=attempt.partition):
                self.assertAlmostEqual(int(attempt.peak), attempt.expected(),
                                       delta=attempt.expected() * 0.05)

    def test_peaks_are_those_of_the_attempts(self):
        for kind in ["unsafe", "small", "direct"]:
            self.assertEqual(len(self.of(kind)), 4)
            self.assert_peaks(self.of(kind))

    def test_failed_attempts_have_theirs(self):
        attempts = self.of("retry")
        self.assertEqual(sorted(attempt.end for attempt in attempts), ["failed"] + ["ok"] * 4)
        self.assert_peaks(attempts)

    def test_what_is_left_behind_is_held_at_the_end_and_said(self):
        attempts = self.of("leak")
        self.assertEqual(len(attempts), 4)
        logs = self.executor_logs()
        for attempt in attempts:
            self.assertAlmostEqual(int(attempt.held), attempt.expected(),
                                   delta=attempt.expected() * 0.05)
            self.assertRegex(logs, r"taskmem: task %s \(.* has ended and still holds \d+\.\d MiB of native "
                                   r"memory, peak .* MiB: \d+\.\d MiB by .*libjvm\.so" % attempt.id)
        for attempt in self.of("unsafe"):
            self.assertLess(int(attempt.held), MIB)

    def test_the_driver_shows_why_memory_was_refused(self):
        text = "\n".join(line for line in self.lines if line.startswith("refused "))
        self.assertIn("Unable to allocate 209715200 bytes", text)
        self.assertRegex(text, r"Suppressed: io\.taskmem\.spark\.NativeMemoryRefused: task \d+ "
                               r"\(\d+\.0 attempt \d\) refused 200\.0 MiB: holds .* of its quota of "
                               r"64\.0 MiB; .*; largest sites: 4\d\.\d MiB by .*libjvm\.so")
        # The executors lived through all attempts of it.
        self.assertEqual(len(self.of("refused")), 4)
        self.assertNotIn("Lost executor", self.log)

    def test_the_driver_adds_up(self):
        self.assertRegex(self.log, r"taskmem: \d+ attempts in 2 executors, largest native peak "
                                   r"\d+\.\d MiB by task \d+ \(")

    def test_the_drivers_ui_has_a_page(self):
        page = "\n".join(line[3:] for line in self.lines if line.startswith("ui "))
        # In Spark's own frame, with its other pages.
        for tab in ["executors", "taskmem"]:
            self.assertIn('href="/%s/"' % tab, page)
        self.assertRegex(page, r"Executors</h4>.*<tr><td>0</td>.*<tr><td>1</td>")
        # Of the largest partition, or of what was refused memory.
        self.assertRegex(page, r"Largest attempts that have ended</h4>.*?<tr><td>task \d+ \(\d+\.\d "
                               r"attempt \d\)</td><td>[01]</td><td sorttable_customkey=\"\d+\">4\d\.\d "
                               r"MiB</td>")

    def test_executors_leave_tables_with_their_names(self):
        for number in range(2):
            # One that the worker killed leaves it to the next who reads.
            subprocess.run([self.path("taskmem"), "ps"], capture_output=True, check=True,
                           env={"TASKMEM_STATS_DIR": self.path("stats")}, timeout=60)
            left = glob.glob(self.path("left/executor %d-*.json" % number))
            self.assertEqual(len(left), 1, os.listdir(self.path("left")))
            with open(left[0], encoding="utf-8") as file:
                stats = json.load(file)
            self.assertEqual(stats["process"]["label"], "executor %d" % number)
            names = [task["name"] for task in stats["tasks"]]
            self.assertTrue(any(" attempt 0" in name for name in names), names)


class ThreadNamesTest(SparkTest):

    def test_the_line_of_the_readme(self):
        stats = self.path("stats.json")
        _, lines = self.submit(
            ["warm", "unsafe", "retry"], "local[2,4]", [],
            before=[self.path("taskmem"), "run", "--quiet", "--stats", stats, "--task-by",
                    "thread-name=TID ([0-9]+)", "--task-per-rename", "--quota", "1G", "--"])
        with open(stats, encoding="utf-8") as file:
            document = json.load(file)
        # spark-submit is a shell that becomes the driver.
        tasks = {str(task["task_id"]): task for task in document["tasks"]}
        attempts = [Attempt(line) for line in lines if line.startswith("attempt ")]
        self.assertEqual(len(attempts), 13)
        for attempt in attempts[4:]:
            self.assertAlmostEqual(tasks[attempt.id]["peak_charged_bytes"], attempt.expected(),
                                   delta=attempt.expected() * 0.05)


class AbsentTest(SparkTest):

    def test_without_the_preload_it_says_so_once(self):
        log, lines = self.submit(
            ["unsafe"], "local[2]",
            ["spark.plugins=io.taskmem.spark.TaskmemPlugin", "spark.jars=" + JAR])
        self.assertEqual(log.count("libtaskmem.so is not preloaded"), 1, log)
        self.assertEqual(len(lines), 4)


class VersionsTest(SparkTest):
    """A jar that knows a native method which the library has not, as where it is newer; and the library
    one that the jar has not."""

    def submit_without(self, method, other):
        jar = self.path(other + ".jar")
        with zipfile.ZipFile(JAR) as source, zipfile.ZipFile(jar, "w") as to:
            for name in source.namelist():
                # A name of the same length, in the tables of constants.
                to.writestr(name, source.read(name).replace(method, other.encode()))
        return self.submit(
            ["warm", "unsafe"], "local[2]",
            ["spark.plugins=io.taskmem.spark.TaskmemPlugin", "spark.jars=" + jar],
            LD_PRELOAD=self.path("libtaskmem.so"), TASKMEM_TASK_BY="none")

    def test_what_needs_a_method_that_is_not_there_is_left_out(self):
        log, lines = self.submit_without(b"keepRefusals", "keepRefusalz")
        self.assertRegex(log, r"taskmem: libtaskmem\.so \(\S+\) of executor driver is older than the "
                              r"jar and lacks keepRefusalz: what needs that is left out")
        attempts = [Attempt(line) for line in lines]
        self.assertEqual(len(attempts), 8)
        for attempt in attempts[4:]:
            self.assertAlmostEqual(int(attempt.peak), attempt.expected(),
                                   delta=attempt.expected() * 0.05)

    def test_without_what_all_needs_nothing_is_charged(self):
        log, lines = self.submit_without(b"processInfo", "processInfa")
        self.assertRegex(log, r"lacks processInfa: nothing is charged")
        self.assertEqual([Attempt(line).end for line in lines], ["ok"] * 8)


class RowBatchTest(SparkTest):
    """The examples for io.taskmem.Consumer: 96 MiB of rows beside a quota of 64 MiB."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        _, lines = cls.submit([], "local-cluster[1,1,512]",
                              cls.with_plugin("spark.taskmem.task.quota=64m"), main="RowBatchJob")
        cls.lines = {line.split()[0]: [int(word) for word in line.split()[1:]] for line in lines}

    def test_batches_that_are_consumers_spill_and_come_back(self):
        for option in ["option1", "option2"]:
            right, spills, peak = self.lines[option]
            self.assertEqual(right, 96 * 1024)
            self.assertGreaterEqual(spills, 8)
            self.assertLessEqual(peak, 64)

    def test_batches_that_nobody_knows_of_are_charged_then_retained_then_storage(self):
        (charged,) = self.lines["cached"]
        self.assertAlmostEqual(charged, 24, delta=1)
        self.assertEqual(self.lines["after"], [24, 0])
        self.assertEqual(self.lines["registered"], [0, 24, 24 * 1024])

    def test_rows_outlive_a_file_that_cannot_be_read(self):
        folder = self.path("rows")
        os.mkdir(folder)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("TASKMEM_")}
        done = subprocess.run(
            ["java", "-Xmx256m", "-Djava.io.tmpdir=" + folder, "-cp",
             ":".join([JAR, JOBS, os.path.join(SPARK, "jars", "*")]), "indexeddf.RowBatchCheck", folder],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS, check=False,
            encoding="utf-8",
            env={**clean, "LD_PRELOAD": self.path("libtaskmem.so"), "TASKMEM_TASK_BY": "none",
                 "TASKMEM_SPILL_TIMEOUT": "60s"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), ["option1 0 true 0", "option2 0 true 0"])


class UiPageTest(SparkTest):

    def test_names_are_text(self):
        done = subprocess.run(
            ["java", "-Xmx64m", "-cp", ":".join([JAR, JOBS, os.path.join(SPARK, "jars", "*")]),
             "io.taskmem.spark.UiPageCheck"],
            capture_output=True, check=True, timeout=SECONDS, encoding="utf-8")
        page, sums, with_gone = done.stdout.splitlines()
        self.assertNotIn("<script>", page)
        self.assertNotIn("<b>", page)
        self.assertIn("<td>&#60;b&#62;0&#60;/b&#62;</td><td sorttable_customkey=\"3145728\">3.0 MiB</td>",
                      page)
        self.assertIn("<td>2 s ago</td>", page)
        # The largest ten of fifteen.
        self.assertEqual(re.findall(r"alert\(&#39;(\d+)&#39;\)", page),
                         [str(number) for number in range(15, 5, -1)])
        # An executor that is gone holds nothing.
        self.assertEqual(sums, "1 of 2 live: 3145728 of 6291456")
        self.assertEqual(with_gone.count("<td>7 s ago, gone</td>"), 1)


class SettingsTest(SparkTest):

    def check(self, *settings):
        done = subprocess.run(
            ["java", "-Xmx64m", "-cp", JAR + ":" + JOBS,
             "io.taskmem.spark.SettingsCheck", *settings],
            capture_output=True, check=True, timeout=SECONDS, encoding="utf-8")
        return done.stdout.splitlines()

    def test_values(self):
        quota = "spark.taskmem.task.quota="
        self.assertEqual(
            self.check("", quota + "64m", quota + "1GiB", quota + "4096", quota + "none",
                       quota + "50% spark.executor.cores=4",
                       quota + "100% spark.executor.cores=4 spark.task.cpus=2 "
                       "spark.executor.memoryOverhead=1g spark.memory.offHeap.enabled=true "
                       "spark.memory.offHeap.size=1g",
                       "spark.taskmem.accumulators=false spark.taskmem.retained.min=2k "
                       "spark.taskmem.report.interval=250ms",
                       "spark.taskmem.arbitrate=true spark.memory.offHeap.enabled=true",
                       "spark.taskmem.arbitrate=true spark.memory.offHeap.enabled=true "
                       "spark.taskmem.arbitrate.allowance=1m spark.taskmem.arbitrate.interval=1s"),
            ["0 true 1048576 10000", "67108864 true 1048576 10000", "1073741824 true 1048576 10000",
             "4096 true 1048576 10000", "0 true 1048576 10000", "50331648 true 1048576 10000",
             "1073741824 true 1048576 10000", "0 false 2048 250",
             "0 true 1048576 10000 4194304 50", "0 true 1048576 10000 1048576 1000"])

    def test_what_is_wrong_is_one_line(self):
        for setting, why in [
                ("task.quota=lots", "bad value 'lots' for spark.taskmem.task.quota: expected a size"),
                ("task.quota=0", "bad value '0' for "), ("task.quota=-1", "bad value '-1' for "),
                ("task.quota=9999999999g", "bad value '9999999999g' for "),
                ("task.quota=1x", "bad value '1x' for "), ("task.quota=200%", "bad value '200%' for "),
                ("task.quota=50%", "spark.taskmem.task.quota=50% needs spark.executor.cores"),
                ("task.qouta=1g", "spark.taskmem.task.qouta is no key: they are "),
                ("accumulators=yes", "bad value 'yes' for spark.taskmem.accumulators"),
                ("retained.min=some", "bad value 'some' for spark.taskmem.retained.min"),
                ("arbitrate=1", "bad value '1' for spark.taskmem.arbitrate: expected true or false"),
                ("arbitrate=true", "spark.taskmem.arbitrate needs spark.memory.offHeap.enabled=true"),
                ("arbitrate.allowance=-1", "bad value '-1' for spark.taskmem.arbitrate.allowance"),
                ("arbitrate.interval=0", "bad value '0' for spark.taskmem.arbitrate.interval"),
                ("report.interval=0", "bad value '0' for spark.taskmem.report.interval")]:
            with self.subTest(setting):
                lines = self.check("spark.taskmem." + setting)
                self.assertEqual(len(lines), 1)
                self.assertTrue(lines[0].startswith("taskmem: " + why), lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
