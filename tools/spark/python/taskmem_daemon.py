"""PySpark's daemon (spark.python.daemon.module=taskmem_daemon), whose workers are of the attempt
they work for: each has a task of the attempt's id in its process, and leaves what that held for the
attempt's executor, which shows it beside its own. Without libtaskmem.so it is PySpark's own."""

import ctypes
import os
import sys

from pyspark import daemon
from pyspark.taskcontext import TaskContext

FOLDER = "taskmem-python"


class Usage(ctypes.Structure):
    """taskmem_usage"""
    _fields_ = [(name, ctypes.c_uint64) for name in
                ("quota", "charged", "peak", "overdraft", "peak_overdraft", "pages", "refusals",
                 "overdrafts", "threads")]


class Options(ctypes.Structure):
    """taskmem_options"""
    _fields_ = [("size", ctypes.c_size_t), ("quota", ctypes.c_uint64), ("name", ctypes.c_char_p)]


def library():
    """The preload library; None: it is not there."""
    process = ctypes.CDLL(None)
    try:
        process.taskmem_version.restype = ctypes.c_char_p
        process.taskmem_version()
        return process
    except AttributeError:
        return None


class Attempt:
    """The one that this process works for."""

    def __init__(self, taskmem):
        self.taskmem = taskmem
        self.id = None
        self.folder = None

    def begin(self, context, identity):
        if self.id == identity:
            return
        self.end()
        name = "%s.%s attempt %s" % (context.stageId(), context.partitionId(),
                                     context.attemptNumber())
        options = Options(ctypes.sizeof(Options), 0, name.encode())
        self.taskmem.taskmem_task_begin(ctypes.c_uint64(identity), ctypes.byref(options))
        self.taskmem.taskmem_thread_attach(ctypes.c_uint64(identity), None)
        self.id = identity
        # Spark's own, which goes with its executor.
        self.folder = os.path.join(os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0], FOLDER)

    def note(self):
        """Leaves the figures of now: the executor looks once the worker has given its results."""
        usage = Usage()
        if self.id is None or not os.path.isabs(self.folder) or self.taskmem.taskmem_task_usage(
                ctypes.c_uint64(self.id), ctypes.byref(usage)) != 0:
            return
        path = os.path.join(self.folder, "%d-%d" % (self.id, os.getpid()))
        try:
            os.makedirs(self.folder, exist_ok=True)
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write("%d %d" % (usage.peak, usage.charged))
            os.replace(path + ".new", path)
        except OSError:
            pass

    def end(self):
        if self.id is None:
            return
        self.taskmem.taskmem_thread_detach()
        self.taskmem.taskmem_task_end(ctypes.c_uint64(self.id), None)
        self.id = None


def follow(taskmem):
    """Has the workers that are forked from here on follow their attempts."""
    attempt = Attempt(taskmem)

    def get_id(context):
        return context.__dict__.get("_taskAttemptId")

    def set_id(context, identity):
        context.__dict__["_taskAttemptId"] = identity
        if identity is not None:
            attempt.begin(context, identity)

    TaskContext._taskAttemptId = property(get_id, set_id)

    worker_main = daemon.worker_main
    worker = sys.modules[worker_main.__module__]
    report_times = worker.report_times

    # What a worker says last before the executor takes it for done.
    def report(*arguments):
        attempt.note()
        return report_times(*arguments)

    def main(infile, outfile):
        taskmem.taskmem_set_label(b"python worker")
        try:
            return worker_main(infile, outfile)
        finally:
            attempt.end()

    worker.report_times = report
    daemon.worker_main = main


if __name__ == "__main__":
    if found := library():
        follow(found)
    daemon.manager()
