"""Run every benchmark, or those that are named, and print their tables."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

import django

# `learning` takes long and is asked for by name: make bench-learning.
BY_ITSELF = ("learning",)
BENCHMARKS = ("metrics", "long_run", "embeddings", "scale")


def main() -> None:
    """A missed target is said, and no error: it may be the computer's."""
    known = (*BENCHMARKS, *BY_ITSELF)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(known)}; all but the last without one")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, fields and images; rougher numbers")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(known):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
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
