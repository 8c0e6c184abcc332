#!/usr/bin/python3
"""query.py ENGINE alone:I | serial | three | six | check | idle: queries of an engine as tasks of the
preloaded library, each on a thread of Python's; prints one line of JSON with each task's peak.

alone:I is one query in the task of the process, to which everything is charged: what the others
are compared with. check is one query in it, and its result; idle is none but the small one that
each begins with."""

import ctypes
import json
import os
import sys
import threading

MIB = 1 << 20
# What the queries hold at most, about, times SCALE.
SIZES = [50, 200, 600]
SCALE = float(os.environ.get("SCALE", "0.35"))
THREADS = int(os.environ.get("THREADS", "2"))


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("quota", ctypes.c_uint64), ("name", ctypes.c_char_p)]


class Usage(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in
                "quota charged peak overdraft peak_overdraft pages refusals overdrafts threads".split()]


library = ctypes.CDLL(None)
if not os.environ.get("NO_TASKS"):
    for function in ("begin", "usage", "end"):
        getattr(library, "taskmem_task_" + function).argtypes = [ctypes.c_uint64, ctypes.c_void_p]
    library.taskmem_thread_attach.argtypes = [ctypes.c_uint64, ctypes.c_void_p]


def usage(task):
    read = Usage()
    assert library.taskmem_task_usage(task, ctypes.byref(read)) == 0
    return read


def duckdb_query():
    import duckdb
    connection = duckdb.connect()
    connection.execute(f"set threads={THREADS}")

    def query(mib):
        return connection.cursor().execute(
            "select sum(x*(rn%1009)) from (select i%1013 x, row_number() over (order by hash(i)) rn"
            f" from range({mib * MIB // 24}) r(i))").fetchone()[0]
    return query


def polars_query():
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars

    def query(mib):
        frame = polars.select(i=polars.int_range(mib * MIB // 32)).with_columns(
            k=polars.col("i").hash(1))
        result = frame.sort("k")
        return int((result["i"] % 1013).slice(0, result.height // 2).sum())
    return query


def arrow():
    import pyarrow
    import pyarrow.compute
    pyarrow.set_cpu_count(THREADS)
    return pyarrow, pyarrow.compute


def arrow_sort_query():
    pyarrow, compute = arrow()

    def query(mib):
        count = mib * MIB // 24
        table = pyarrow.table({"i": compute.random(count, initializer=1),
                               "j": compute.random(count, initializer=2)})
        return compute.sum(table.sort_by("i")["j"].slice(0, count // 2)).as_py()
    return query


def arrow_query():
    pyarrow, compute = arrow()

    def query(mib):
        numbers = compute.cumulative_sum(pyarrow.repeat(1, mib * MIB // 72))
        table = pyarrow.table({"k": numbers, "j": numbers})
        return compute.sum(table.group_by("k").aggregate([("j", "sum")])["j_sum"]).as_py()
    return query


def datafusion_query():
    from datafusion import SessionConfig, SessionContext
    context = SessionContext(SessionConfig().with_target_partitions(THREADS))

    def query(mib):
        return context.sql(
            "select sum(x*(rn%1009)) s from (select value%1013 x, row_number() over"
            f" (order by value*7919%1000003) rn from generate_series(1,{mib * MIB // 24}))"
        ).collect()[0][0][0].as_py()
    return query


def python_query():
    def query(mib):
        kept = [{"number": number} for number in range(mib * MIB // 264)]
        return sum(row["number"] for row in kept)
    return query


ENGINES = {"duckdb": duckdb_query, "polars": polars_query, "arrow": arrow_query,
           "arrow-sort": arrow_sort_query, "datafusion": datafusion_query, "python": python_query}


def run_tasks(query, sizes, at_once):
    peaks = [0.0] * len(sizes)
    results = [None] * len(sizes)
    barrier = threading.Barrier(len(sizes)) if at_once else None

    def work(index):
        task = 100 + index
        options = Options(ctypes.sizeof(Options), 0, b"query %d" % index)
        assert library.taskmem_task_begin(task, ctypes.byref(options)) == 0
        assert library.taskmem_thread_attach(task, None) == 0
        if barrier:
            barrier.wait()
        results[index] = str(query(sizes[index]))
        peaks[index] = usage(task).peak / MIB
        library.taskmem_thread_detach()
        library.taskmem_task_end(task, None)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(sizes))]
    for thread in threads:
        thread.start()
        if not at_once:
            thread.join()
    for thread in threads:
        thread.join()
    return peaks, results


def main():
    engine, mode = sys.argv[1:3]
    query = ENGINES[engine]()
    sizes = [int(size * SCALE) for size in SIZES]
    query(4)
    if mode.startswith("alone:"):
        task = (1 << 48) + os.getpid()
        before = usage(task)
        result = query(sizes[int(mode[6:])])
        print(json.dumps({"peaks": [(usage(task).peak - before.charged) / MIB],
                          "results": [str(result)]}))
    elif mode == "idle":
        print(json.dumps({"peaks": [], "results": []}))
    elif mode == "check":
        print(json.dumps({"peaks": [], "results": [str(query(sizes[2]))]}))
    else:
        if mode == "six":
            sizes *= 2
        peaks, results = run_tasks(query, sizes, mode != "serial")
        print(json.dumps({"peaks": peaks, "results": results}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
