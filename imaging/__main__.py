"""`python -m imaging measure SOURCE OUT.parquet`: metrics without Django or a database."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from imaging.cluster import ClusterProblem
from imaging.fields import SourceFields, fields_of_source
from imaging.layouts import LAYOUTS, SourceError, parse_z_rule
from imaging.measured_table import Place, measure_table
from imaging.reading import local_path

SHOWN = 50  # errors that are printed; the table has all
ALL_MEASURED, SOME_ERRORS, NOTHING_READ = 0, 1, 2


class CannotStart(Exception):
    """Why nothing was measured, in a sentence."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        out = path_to_write(options.out)
        source = fields_of_source(
            options.source,
            layout=options.layout,
            plate=options.plate,
            z=parse_z_rule(options.z),
            progress=Bar("files"),
        )
        problems = measure_table(source, out, place=Place(options.workers, options.scheduler), progress=Bar("fields"))
    except (CannotStart, SourceError, ValueError, ClusterProblem) as problem:
        print(problem, file=sys.stderr)
        return NOTHING_READ
    return tell(source, problems, out)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m imaging", description="Pixels to numbers, without a database.")
    measure = top.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "measure",
        help="metrics of every field of a source as a Parquet table",
        description="Measure every field of a source. Exit code 0: all; 1: some fields or files had errors (they are "
        "in the table's column error, and listed); 2: nothing could be read.",
    )
    measure.add_argument("source", help="folder or fsspec URI")
    measure.add_argument("out", help="Parquet file to write")
    measure.add_argument("--layout", help=f"{', '.join(LAYOUTS)} or a regular expression; guessed when not named")
    measure.add_argument("--plate", metavar="BARCODE", help="for layouts whose names do not tell the plate")
    measure.add_argument("--z", default="middle", metavar="RULE", help="middle, first, max projection, or a number")
    measure.add_argument("--workers", type=at_least_one, default=os.cpu_count() or 1, metavar="N", help="processes")
    measure.add_argument(
        "--scheduler",
        default=os.environ.get("CELLQC_DASK_SCHEDULER", "").strip(),
        metavar="ADDRESS",
        help="of a Dask cluster that does the work instead (default: CELLQC_DASK_SCHEDULER)",
    )
    return top


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number of at least 1")
    return int(text)


def path_to_write(out: str) -> Path:
    """The file to write. CannotStart when that is impossible: better now than after hours."""
    path = local_path(out)
    if path is None:
        raise CannotStart(f"{out} is not a file of this computer; write the table here and copy it afterwards.")
    target = Path(path).absolute()
    if target.is_dir():
        raise CannotStart(f"{target} is a folder; name the file to write.")
    if not target.parent.is_dir():
        raise CannotStart(f"There is no folder {target.parent} to write {target.name} in.")
    if not os.access(target.parent, os.W_OK):
        raise CannotStart(f"This account may not write in {target.parent}.")
    return target


def tell(source: SourceFields, problems: Sequence[str], out: Path) -> int:
    """Say what came of it; returns the exit code."""
    failed = [(field, problem) for field, problem in zip(source.fields, problems, strict=True) if problem]
    n_measured = len(source.fields) - len(failed)
    print(f"{source.explanation}\n{n_measured:,} of {len(source.fields):,} fields measured: {out}")
    lines = [f"{f.plate} {f.well.name} site {f.site} timepoint {f.timepoint}: {problem}" for f, problem in failed]
    lines += [f"{one.uri}: {one.reason}" for one in source.refused]
    for line in lines[:SHOWN]:
        print(f"  {line}")
    if len(lines) > SHOWN:
        print(f"  ... and {len(lines) - SHOWN:,} more")
    if not n_measured:
        return NOTHING_READ
    return SOME_ERRORS if lines else ALL_MEASURED


class Bar:
    """A bar in the terminal, on stderr, that follows (done, total) reports."""

    def __init__(self, what: str) -> None:
        self.bar = tqdm(desc=what, unit="", disable=None, file=sys.stderr, delay=0.1)  # no bar in a log

    def __call__(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.refresh()


if __name__ == "__main__":
    sys.exit(main())
