#!/usr/bin/python3
"""engines.py [--python PYTHON] [--engines NAME,...] [--parts NAME,...] [--scale N] [--rounds N]
[--cpu-rounds N] [--subset]: what the library makes of the memory of analytical engines, as tables.
Status 1 where a bar is missed; the last lines say which.

attribution: queries as tasks, one after another, three and six at once; each task's peak against the
same query alone. limits: a query under a quota of 60 % of its peak ends by the engine's own error,
and with --overflow with the same result. cpu: the time of a query against that with nothing
preloaded and with libmimalloc, and the page faults that are often why.

The wheels of wheels.txt are installed into a virtual environment of its own, in --folder; where the
package index cannot be reached one line says so, and nothing is measured (status 0). --subset is
what .ci/run tries: few engines, small queries, no times, and the wheels that tools/fetch_engines
unpacked."""

import argparse
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

# The tree, or what bazel has laid out like it: for a test, and for a program that it runs.
ROOT = (os.path.join(os.environ["TEST_SRCDIR"], "taskmem") if "TEST_SRCDIR" in os.environ
        else os.getcwd() if os.path.exists("tests/engines/query.py")
        else os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
HERE = os.path.join(ROOT, "tests/engines")
# Of a peak: whichever is more.
PART, MIB = 0.10, 8
# Of the processor time with something else preloaded, at most.
CPU_BARS = {"nothing": 1.05, "libmimalloc": 1.02}
MIMALLOC = "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2"
# For --subset: one run of a query says little more than whose the memory was, since by where its
# threads come to wait for each other an engine takes up to a sixth more or less of it.
SUBSET_PART, SUBSET_MIB = 0.30, 16
# Where several tasks are active pool threads work for them, not for "shared by N tasks".
EXACT_AT_ONCE = ("duckdb", "arrow", "arrow-sort")
# Stripped: what it has is the process's, and `run` says so.
KEPT = ("datafusion",)
# What `run` says was done for an engine.
SAID = {
    "duckdb": r"jemalloc of \S+ \(duckdb_je_\*\): adopted, .*threads work for the query's task",
    "polars": r"jemalloc of \S+ \(_rjem_\*\): adopted, ",
    "arrow": r"mimalloc of libarrow\S+ \(arrow_mi_\*\): adopted, .*threads work for the query's task",
}
SAID["arrow-sort"] = SAID["arrow"]
# What ends by a signal where memory is refused: Rust has no error for it.
ABORTS = ("polars",)


def find_file(name):
    for folder in (ROOT, os.path.join(ROOT, "bazel-bin")):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    sys.exit(f"{name} is not built")


def make_python(folder):
    """The interpreter of the environment with the wheels, or None."""
    python = os.path.join(folder, "bin/python")
    stamp = os.path.join(folder, "wheels.txt")
    wheels = os.path.join(HERE, "wheels.txt")
    with open(wheels, encoding="utf-8") as pinned:
        wanted = pinned.read()
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as installed:
            if installed.read() == wanted:
                return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", folder], check=True)
    done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--retries", "1", "--timeout",
                           "30", "--no-deps", "--only-binary", ":all:", "--require-hashes",
                           "--requirement", wheels],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print("engines: skipped, the package index cannot be reached: "
              + (done.stderr.strip().splitlines() or ["no message"])[-1])
        return None
    shutil.copy(wheels, stamp)
    return python


class Runner:
    """Runs queries in processes of their own."""

    def __init__(self, python, modules, scale):
        self.python = python
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("TASKMEM_", "LD_PRELOAD", "PYTHON"))}
        self.environment["SCALE"] = str(scale)
        if modules:
            self.environment["PYTHONPATH"] = modules
        self.folder = tempfile.mkdtemp(prefix="engines-")
        shutil.copy(find_file("tools/taskmem_command"), os.path.join(self.folder, "taskmem"))
        shutil.copy(find_file("shim/libtaskmem.so"), self.folder)

    def environment_of(self, engine):
        """CPython's own arenas serve all threads: with tasks by --task-by that is set for it."""
        return {**self.environment, **({"PYTHONMALLOC": "malloc"} if engine == "python" else {})}

    def close(self):
        shutil.rmtree(self.folder)

    def query(self, engine, mode, *options):
        command = [os.path.join(self.folder, "taskmem"), "run", *options, "--", self.python,
                   os.path.join(HERE, "query.py"), engine, mode]
        return subprocess.run(command, env=self.environment_of(engine), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=600, check=False)

    def measured(self, engine, mode, *options):
        """The query, and the sums of its process."""
        path = os.path.join(self.folder, "stats.json")
        done = self.query(engine, mode, "--stats", path, *options)
        with open(path, encoding="utf-8") as stats:
            return done, json.load(stats)["process"]

    def numbers(self, engine, mode, *options):
        done = self.query(engine, mode, "--quiet", *options)
        if done.returncode != 0:
            raise RuntimeError(f"{engine} {mode}: {done.returncode} {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])


def medians(rows):
    return [statistics.median(column) for column in zip(*rows)]


class Table:
    """Prints rows, and keeps those that miss their bar."""

    def __init__(self):
        self.missed = []

    def row(self, text, is_met):
        if not is_met:
            self.missed.append(text)
        print(f"  {'ok    ' if is_met else 'MISSED'} {text}", flush=True)


def error_of(peak, alone):
    """In MiB, to what the same query took alone: from its least to its most."""
    return min(0, peak - min(alone)) + max(0, peak - max(alone))


class Bars:
    """How far from its peak alone, and from its quota, a query may be."""

    def __init__(self, part, mib):
        self.part, self.mib = part, mib

    def is_near(self, peak, alone):
        return abs(error_of(peak, alone)) <= max(self.part * max(alone), self.mib)

    def is_held(self, resident, quota, others):
        return resident <= (1 + self.part) * quota + others


def measure_attribution(runner, engine, modes, rounds, bars, table):
    # By where its threads come to wait for each other, a query may take one way or another: enough
    # rounds that each is seen.
    alone = [[runner.numbers(engine, f"alone:{i}")["peaks"][0] for _ in range(2 * rounds)]
             for i in range(3)]
    print(f"{engine}: alone " + ", ".join(
        f"{min(peaks):.1f}" + (f" to {max(peaks):.1f}" if max(peaks) > 1.1 * min(peaks) else "")
        for peaks in alone) + " MiB", flush=True)
    for mode in modes:
        runs = [runner.numbers(engine, mode) for _ in range(rounds)]
        peaks = medians([run["peaks"] for run in runs])
        expected = alone * (len(peaks) // 3)
        errors = [100 * error_of(*pair) / max(pair[1]) for pair in zip(peaks, expected)]
        if (mode == "serial" or engine in EXACT_AT_ONCE) and engine not in KEPT:
            is_met = all(map(bars.is_near, peaks, expected))
        else:
            # Nothing of another's.
            is_met = all(peak <= max(wanted) or bars.is_near(peak, wanted)
                         for peak, wanted in zip(peaks, expected))
        table.row(f"{engine:10} {mode:6} " + " ".join(f"{peak:.1f}" for peak in peaks) + " MiB: "
                  + " ".join(f"{error:+.0f}" for error in errors) + " %", is_met)


def measure_limits(runner, engine, bars, table):
    if engine in KEPT:
        said = re.search(r"\w+ of \S+ keeps its own memory", runner.query(engine, "check").stderr)
        table.row(f"{engine:10} {said[0] if said else 'is not named'}", said is not None)
        return
    _, idle = runner.measured(engine, "idle")
    free, process = runner.measured(engine, "check")
    assert free.returncode == 0, free.stderr
    if engine in SAID:
        table.row(f"{engine:10} run says what was done for it",
                  re.search(SAID[engine], " ".join(free.stderr.split())) is not None)
    quota = int(process["peak_charged_bytes"] * 0.6) >> 20
    # What is in memory and no task is charged with: code.
    others = max(idle["peak_resident_bytes"] - idle["peak_charged_bytes"], 0) >> 20
    refused = runner.query(engine, "check", "--quota", f"{quota}M")
    is_met = refused.returncode != 0 and ("emory" in refused.stderr or engine in ABORTS)
    kinds = re.findall(r"\w*(?:OutOfMemory|MemoryError|Memory)\w*", refused.stderr)
    table.row(f"{engine:10} quota {quota} MiB: status {refused.returncode}"
              f" {kinds[-1] if kinds else ''}", is_met)
    kept, process = runner.measured(engine, "check", "--quota", f"{quota}M", "--overflow")
    resident = process["peak_resident_bytes"] >> 20
    is_same = kept.returncode == 0 and kept.stdout.splitlines()[-1:] == free.stdout.splitlines()[-1:]
    table.row(f"{engine:10} with --overflow: {'the same result' if is_same else 'FAILED'}, resident"
              f" {resident} MiB at most, of these {others} no task's",
              is_same and bars.is_held(resident, quota, others))


def cost_of(command, environment):
    """Seconds of processor time, and page faults."""
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise RuntimeError(f"{command}: {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_minflt


def measure_cpu(runner, engine, rounds, table):
    """Medians of interleaved rounds. What a process leaves behind in the system, such as memory in
    small pieces where the next wants huge pages, costs the next: each follows each of the others."""
    query = [runner.python, os.path.join(HERE, "query.py"), engine, "check"]
    adopting = runner.environment_of(engine)
    ways = {"taskmem": {**adopting, "LD_PRELOAD": os.path.join(runner.folder, "libtaskmem.so")},
            "nothing": runner.environment}
    if os.path.exists(MIMALLOC):
        ways["libmimalloc"] = {**adopting, "LD_PRELOAD": MIMALLOC}
    orders = list(itertools.permutations(ways))
    costs = {way: [] for way in ways}
    for number in range(rounds):
        for way in orders[number % len(orders)]:
            # query.py asks the library for nothing in this mode.
            costs[way].append(cost_of(query, {**ways[way], "NO_TASKS": "1"}))
    others = [way for way in ways if way != "taskmem"]
    ratios = {other: statistics.median(own[0] / cost[0] for own, cost
                                       in zip(costs["taskmem"], costs[other])) for other in others}
    faults = {way: statistics.median(cost[1] for cost in costs[way]) for way in ways}
    table.row(f"{engine:10} CPU: "
              + ", ".join(f"{ratios[other]:.2f} of that with {other}" for other in others)
              + f"; {faults['taskmem'] / 1000:.0f}k page faults, with "
              + ", ".join(f"{other} {faults[other] / 1000:.0f}k" for other in others),
              all(ratios[other] <= CPU_BARS[other] for other in others))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--python")
    parser.add_argument("--folder", default=os.path.expanduser("~/.cache/taskmem-engines"))
    parser.add_argument("--engines", default="duckdb,polars,arrow,arrow-sort,datafusion,python")
    parser.add_argument("--scale", type=float, default=0.35)
    parser.add_argument("--parts", default="attribution,limits,cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu-rounds", type=int, default=12)
    parser.add_argument("--subset", action="store_true")
    options = parser.parse_args()
    modules, bars = None, Bars(PART, MIB)
    if options.subset:
        # Unpacked by tools/fetch_engines.
        wanted = os.path.join(os.path.dirname(ROOT), "engines/wanted")
        if not os.path.exists(wanted):
            print("engines: skipped, their wheels could not be fetched")
            return 0
        modules = os.path.join(os.path.dirname(os.path.realpath(wanted)), "modules")
        options.python, options.scale, options.rounds = "/usr/bin/python3", 0.2, 1
        options.engines, options.parts = "duckdb,polars,arrow-sort,python", "attribution,limits"
        bars = Bars(SUBSET_PART, SUBSET_MIB)
    python = options.python or make_python(options.folder)
    if python is None:
        return 0
    runner = Runner(python, modules, options.scale)
    table = Table()
    try:
        for engine in options.engines.split(","):
            modes = ["serial"] if options.subset else ["serial", "three", "six"]
            if "attribution" in options.parts:
                measure_attribution(runner, engine, modes, options.rounds, bars, table)
            if "limits" in options.parts:
                measure_limits(runner, engine, bars, table)
            if "cpu" in options.parts:
                measure_cpu(runner, engine, options.cpu_rounds, table)
    finally:
        runner.close()
    if table.missed:
        print(f"engines: {len(table.missed)} bars missed:")
        for text in table.missed:
            print(f"  {text}")
    else:
        print("engines: all bars met")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
