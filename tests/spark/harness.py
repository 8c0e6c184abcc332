"""What the tests of the plugin share: real Spark, in processes on this machine alone."""

import os
import shutil
import subprocess
import tempfile
import unittest

FILES = os.environ["TEST_SRCDIR"]
MIB = 1 << 20
SECONDS = 240


def own(path):
    return os.path.join(FILES, "taskmem", path)


# Another Spark than the one that the plugin is compiled with: a folder as tools/fetch_spark makes it.
SPARK = os.environ.get("TASKMEM_TEST_SPARK") or os.path.join(FILES, "pyspark", "deps")
JAR = own("tools/spark/taskmem-spark.jar")
JOBS = own("tests/spark/jobs.jar")


def has_spark():
    return os.path.exists(os.path.join(SPARK, "bin", "spark-submit")) and os.path.getsize(JAR) != 0


class Attempt:
    """A line that SparkJobs.java writes."""

    def __init__(self, line):
        (_, self.kind, self.id, self.partition, self.number, self.end, self.peak,
         self.held) = line.split()
        self.partition = int(self.partition)

    def expected(self):
        return (self.partition + 1) * 10 * MIB


@unittest.skipUnless(has_spark(), "Spark could not be fetched (tools/fetch_spark)")
class SparkTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.folder = cls.temporary.name
        for source, name in [("tools/taskmem_command", "taskmem"),
                             ("shim/libtaskmem.so", "libtaskmem.so")]:
            shutil.copy(own(source), cls.path(name))
        os.mkdir(cls.path("left"))
        # Where its workers keep their folders.
        os.mkdir(cls.path("spark"))
        for name in ["bin", "jars", "python"]:
            os.symlink(os.path.join(SPARK, name), cls.path("spark/" + name))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def with_plugin(cls, *confs):
        """Confs of an application whose executors have the library and the plugin."""
        return ["spark.plugins=io.taskmem.spark.TaskmemPlugin", "spark.jars=" + JAR,
                "spark.executorEnv.LD_PRELOAD=" + cls.path("libtaskmem.so"),
                "spark.executorEnv.TASKMEM_TASK_BY=none",
                "spark.executorEnv.TASKMEM_STATS_DIR=" + cls.path("stats"), *confs]

    @classmethod
    def submit(cls, arguments, master, confs, before=(), main="SparkJobs", program=JOBS,
               **environment):
        """Runs an application; what its driver wrote, and the lines of the file that is its first
        argument."""
        out = cls.path("out")
        command = [*before, os.path.join(SPARK, "bin", "spark-submit"), "--master", master,
                   "--driver-memory", "512m", "--class", main]
        for conf in ["spark.ui.enabled=false", "spark.driver.host=127.0.0.1",
                     "spark.driver.bindAddress=127.0.0.1", "spark.executor.memory=512m", *confs]:
            command += ["--conf", conf]
        command += [program, out, *arguments]
        clean = {key: value for key, value in os.environ.items()
                 if not key.startswith(("TASKMEM_", "SPARK_"))}
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=SECONDS, check=False, cwd=cls.folder, encoding="utf-8",
            env={**clean, "SPARK_HOME": cls.path("spark"), "SPARK_LOCAL_IP": "127.0.0.1",
                 "SPARK_LOCAL_DIRS": cls.folder, "TASKMEM_STATS_DIR": cls.path("stats"),
                 **environment})
        if done.returncode != 0:
            raise AssertionError(done.stdout[-20000:])
        with open(out, encoding="utf-8") as file:
            return done.stdout, file.read().splitlines()

    def executor_logs(self):
        logs = ""
        for folder, _, names in os.walk(self.path("spark/work")):
            for name in names:
                if name == "stderr":
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        logs += file.read()
        return logs


class ArbitrateTest(SparkTest):
    """A sort in two attempts, each beside 80 MiB of native memory, over a pool of 256 MiB."""

    POOL_MIB = 256

    @classmethod
    def sort(cls, arbitrates):
        _, lines = cls.submit(
            ["80", "2400000", "before"], "local-cluster[1,2,1024]",
            cls.with_plugin(
                "spark.executor.memory=1g", "spark.memory.offHeap.enabled=true",
                "spark.memory.offHeap.size=%dm" % cls.POOL_MIB,
                "spark.taskmem.arbitrate=" + arbitrates, "spark.taskmem.arbitrate.allowance=0",
                "spark.taskmem.arbitrate.interval=20ms",
                "spark.executor.extraJavaOptions=-Xms1g -XX:+AlwaysPreTouch -XX:+UseSerialGC"),
            main="SortJob")
        answer, grown, spilled = lines[0].split()[:3]
        return answer, int(grown), int(spilled)
