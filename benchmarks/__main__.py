"""Run every benchmark, or those named, and print their tables."""

from __future__ import annotations

import argparse

from benchmarks import embeddings, metrics

BENCHMARKS = {"metrics": metrics, "embeddings": embeddings}


def main() -> None:
    """A missed target is said, and no error: it may be the computer's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and fields: about 40 s, rougher numbers")
    options = parser.parse_args()
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    chosen = [BENCHMARKS[name] for name in options.names or BENCHMARKS]
    missed = [target for benchmark in chosen for target in benchmark.run(quick=options.quick)]
    for target in missed:
        print(f"Missed: {target}")
    if not missed:
        print("All targets met.")


if __name__ == "__main__":
    main()
