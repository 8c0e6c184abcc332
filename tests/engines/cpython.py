#!/usr/bin/python3
"""cpython.py [--rounds N]: what PYTHONMALLOC=malloc costs CPython, by five scripts: processor time
and page faults under libmimalloc, under taskmem, and under taskmem with threads as tasks, as
ratios to pymalloc with nothing preloaded. Medians of interleaved rounds."""

import argparse
import os
import shutil
import statistics
import tempfile

from cpython_scripts import SCRIPTS
from engines import HERE, MIMALLOC, cost_of, find_file


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    usual = {key: value for key, value in os.environ.items()
             if not key.startswith(("TASKMEM_", "LD_PRELOAD", "PYTHON"))}
    usual["PYTHONHASHSEED"] = "0"
    by_malloc = {**usual, "PYTHONMALLOC": "malloc"}
    folder = tempfile.mkdtemp(prefix="cpython-")
    preloaded = {**by_malloc,
                 "LD_PRELOAD": shutil.copy(find_file("shim/libtaskmem.so"), folder)}
    ways = {"pymalloc": usual, "taskmem": preloaded,
            "taskmem, threads are tasks": {**preloaded, "TASKMEM_TASK_BY": "thread"}}
    if os.path.exists(MIMALLOC):
        ways["libmimalloc"] = {**by_malloc, "LD_PRELOAD": MIMALLOC}
    all_ratios = {way: [] for way in ways}
    for script in SCRIPTS:
        command = ["/usr/bin/python3", os.path.join(HERE, "cpython_scripts.py"), script]
        costs = {way: [] for way in ways}
        for number in range(options.rounds):
            names = list(ways)
            for way in names[number % len(names):] + names[:number % len(names)]:
                costs[way].append(cost_of(command, ways[way]))
        for way in ways:
            ratio = statistics.median(own[0] / usual_cost[0] for own, usual_cost
                                      in zip(costs[way], costs["pymalloc"]))
            all_ratios[way].append(ratio)
            faults = statistics.median(cost[1] for cost in costs[way])
            print(f"  {script:8} {way:27} {ratio:.2f}, {faults / 1000:.0f}k page faults", flush=True)
    for way, ratios in all_ratios.items():
        print(f"all five {way:27} {statistics.geometric_mean(ratios):.3f}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
