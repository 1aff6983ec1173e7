"""Run the benchmarks named, or every one, and print their tables."""

from __future__ import annotations

import argparse

from benchmarks import learning, metrics

BENCHMARKS = {"metrics": metrics, "learning": learning}


def main() -> None:
    """A missed target is said, and no error: it may be the computer's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(BENCHMARKS)}; all without one")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and fields, rougher numbers")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    chosen = arguments.names or list(BENCHMARKS)
    missed = [target for name in chosen for target in BENCHMARKS[name].run(quick=arguments.quick)]
    for target in missed:
        print(f"Missed: {target}")
    if not missed:
        print("All targets met.")


if __name__ == "__main__":
    main()
