"""A plate on disk: one TIFF per channel, the plate map a lab would have, and the truth it would not."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, fields
from pathlib import Path

import tifffile

from imaging.simulate.plan import FieldPlan, PlateRecipe, plan_plate, row_name
from imaging.simulate.render import render_field

RUN = "001"
PLATEMAP_COLUMNS = ("well", "role", "control_class", "compound", "concentration_um")
FIELDS_PER_TASK = 4
Progress = Callable[[int, int], None]


def field_files(recipe: PlateRecipe, plan: FieldPlan) -> list[str]:
    """One file per channel: `B7_01_1_3_DNA_001.tif` is well B7, plate 01, channel 1, site 3, run 001."""
    well = f"{row_name(plan.row)}{plan.column}"
    return [
        f"{well}_{recipe.barcode}_{number}_{plan.site}_{channel}_{RUN}.tif"
        for number, channel in enumerate(recipe.channels, 1)
    ]


def write_plate(
    recipe: PlateRecipe,
    folder: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[FieldPlan]:
    """Write the plate's images with `platemap.csv` and `truth.csv`; returns the truth.

    Files that exist are kept, so an interrupted run goes on where it stopped. `progress(done, total)` counts
    fields. Raises FileExistsError when the folder holds another plate.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plans = plan_plate(recipe)
    truth = _truth_csv(plans)
    if (folder / "truth.csv").exists() and (folder / "truth.csv").read_text(encoding="utf-8") != truth:
        raise FileExistsError(f"{folder} holds a plate made by another recipe; choose an empty folder.")
    _write_text(folder / "truth.csv", truth)
    _write_text(folder / "platemap.csv", _platemap_csv(plans))
    due = [plan for plan in plans if not all((folder / name).exists() for name in field_files(recipe, plan))]
    done = len(plans) - len(due)
    if progress:
        progress(done, len(plans))
    for n_written in _write_all(recipe, folder, due, executor):
        done += n_written
        if progress:
            progress(done, len(plans))
    return plans


def _write_all(recipe: PlateRecipe, folder: Path, due: list[FieldPlan], executor: Executor | None) -> Iterator[int]:
    """Yield how many fields each task wrote, as tasks end."""
    tasks = [due[i : i + FIELDS_PER_TASK] for i in range(0, len(due), FIELDS_PER_TASK)]
    if executor is None:
        yield from (_write_fields(recipe, folder, task) for task in tasks)
        return
    futures = [executor.submit(_write_fields, recipe, folder, task) for task in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()  # after an error, what has not begun need not begin


def _write_fields(recipe: PlateRecipe, folder: Path, plans: Sequence[FieldPlan]) -> int:
    """Render and write a few fields; returns how many. Runs in a worker process."""
    for plan in plans:
        for name, plane in zip(field_files(recipe, plan), render_field(recipe, plan), strict=True):
            temporary = _temporary(folder / name)
            # Higher levels take longer and save nothing: most of what is left is noise.
            tifffile.imwrite(
                temporary,
                plane,
                compression="zlib",
                compressionargs={"level": 1},
                predictor=True,
                metadata=None,
            )
            temporary.replace(folder / name)
    return len(plans)


def _truth_csv(plans: list[FieldPlan]) -> str:
    return _csv([field.name for field in fields(FieldPlan)], [tuple(asdict(plan).values()) for plan in plans])


def _platemap_csv(plans: list[FieldPlan]) -> str:
    rows = {plan.well: tuple(getattr(plan, name) for name in PLATEMAP_COLUMNS) for plan in plans}
    return _csv(PLATEMAP_COLUMNS, list(rows.values()))


def _csv(header: Sequence[str], rows: list[tuple[object, ...]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    temporary = _temporary(path)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _temporary(path: Path) -> Path:
    # The process id keeps two writers apart; the leading dot keeps half a file out of every listing.
    return path.with_name(f".{path.name}.{os.getpid()}.part")
