"""Run every benchmark, or those that are named, and print their tables."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

import django

BENCHMARKS = ("metrics", "scale")


def main() -> None:
    """A missed target is said, and no error: it may be the computer's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, fields and images; rougher numbers")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cellqc.settings")
    django.setup()
    missed = []
    for name in asked.names or BENCHMARKS:
        missed += import_module(f"benchmarks.{name}").run(quick=asked.quick)
    for target in missed:
        print(f"Missed: {target}")
    if not missed:
        print("All targets met.")


if __name__ == "__main__":
    main()
