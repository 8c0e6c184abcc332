"""Partition p holds (p + 1) * 10 MiB in its worker; the file that is the argument gets a line for
each attempt, PARTITION ID."""

import sys

from pyspark import SparkContext, TaskContext


def hold(index, _):
    """Runs in a worker, which loads as little of its own as can be."""
    import ctypes
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    blocks = [libc.malloc(1 << 20) for _ in range((index + 1) * 10)]
    for block in blocks:
        ctypes.memset(block, 1, 1 << 20)
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
    yield "%d %d" % (index, TaskContext.get().taskAttemptId())


def main():
    """Once to load what workers load, and once for the answer."""
    context = SparkContext()
    for _ in range(2):
        lines = context.parallelize(range(4), 4).mapPartitionsWithIndex(hold).collect()
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.writelines(line + "\n" for line in lines)
    context.stop()


main()
