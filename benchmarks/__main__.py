"""Run every benchmark and print its tables."""

from __future__ import annotations

import argparse

from benchmarks import long_run, metrics

BENCHMARKS = (metrics, long_run)


def main() -> None:
    """A missed target is said, and no error: it may be the computer's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer repeats and fields: about a minute, rougher numbers"
    )
    quick = parser.parse_args().quick
    missed = [target for benchmark in BENCHMARKS for target in benchmark.run(quick=quick)]
    for target in missed:
        print(f"Missed: {target}")
    if not missed:
        print("All targets met.")


if __name__ == "__main__":
    main()
