"""A long run: memory of all processes over 10,000 images, and images a second on one process, two, four ..."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from benchmarks.metrics import (
    DIFFERENT_FIELDS,
    N_CHANNELS,
    RECIPE,
    SIDE_PX,
    check,
    check_measured,
    print_table,
    render,
    resident_mb,
    write,
)
from imaging.executor import run_in_chunks
from imaging.measure import Field, MeasuredField, measure_fields

N_IMAGES, N_IMAGES_QUICK = 10_000, 400
# Of ideal: two processes 1.7 times, four 3.4 times as many images a second as one.
TARGET_EFFICIENCY = 0.85
TARGET_GROWTH_MB = 20.0
WARM_UP_SHARE, WARM_UP_FIELDS_EACH = 0.1, 10  # after these, memory and caches are what they will be
CHUNK = 4


def run(*, quick: bool) -> list[str]:
    """Print the tables; returns the targets that were missed, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="cellqc-bench-") as folder:
        files = [write(Path(folder), f"field{n}", planes) for n, planes in enumerate(render(DIFFERENT_FIELDS))]
        missed = bench_processes(files, cores, 16 if quick else 64)
        missed += bench_flat_memory(files, cores, (N_IMAGES_QUICK if quick else N_IMAGES) // N_CHANNELS)
    return missed


def bench_processes(files: Sequence[Field], cores: int, fields_each: int) -> list[str]:
    """Images a second on 1, 2, 4, ... processes up to the cores. Other programs on the computer tell here."""
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < cores] + [cores]
    rates = {n: rate_of(files, fields_each * n, n) for n in counts}
    ideal = {n: rate / (n * rates[1]) for n, rate in rates.items()}
    print_table(
        (f"processes, {SIDE_PX} px", "images a second", "of ideal"),
        [(str(n), f"{rate * N_CHANNELS:.0f}", f"{ideal[n]:.0%}") for n, rate in rates.items()],
    )
    print()
    return check(f"{cores} processes, share of ideal", -ideal[cores], -TARGET_EFFICIENCY)


def rate_of(files: Sequence[Field], n_fields: int, workers: int) -> float:
    """Fields a second, without the first chunks, during which processes start and load their code."""
    warm_up_chunks = 4 * workers
    chunks = run_in_chunks(
        partial(measure_fields, recipe=RECIPE),
        islice(cycle(files), n_fields + 2 * warm_up_chunks),
        workers=workers,
        chunk_size=2,
        when_crashed=lambda field: MeasuredField(field.key, problem="crashed"),
    )
    for chunk in islice(chunks, warm_up_chunks):
        check_measured(chunk)
    start, done = time.perf_counter(), 0
    for chunk in chunks:
        check_measured(chunk)
        done += len(chunk)
    return done / (time.perf_counter() - start)


def bench_flat_memory(files: Sequence[Field], workers: int, n_fields: int) -> list[str]:
    """Memory of this process and of those that measure, from when they are warm to the end of the run."""
    seen: dict[int, list[float]] = {}
    here: list[float] = []
    warm_up = max(WARM_UP_SHARE * n_fields, WARM_UP_FIELDS_EACH * workers)
    n_done, start = 0, time.perf_counter()
    for chunk in measured(files, workers, n_fields):
        n_done += len(chunk)
        if n_done >= warm_up:
            here.append(resident_mb())
            for process, megabytes in (memory for memory, _ in chunk):
                seen.setdefault(process, []).append(megabytes)
    if not here or not here[0] or not seen:
        print("This system does not tell how much memory a process has.\n")
        return []
    minutes = (time.perf_counter() - start) / 60
    rows = {"this process": here} | {f"process {n}": sizes for n, sizes in enumerate(seen.values(), 1)}
    print_table(
        (f"memory over {n_fields * N_CHANNELS:,} images in {minutes:.1f} minutes", "warm MB", "at the end MB"),
        [(name, f"{sizes[0]:.0f}", f"{sizes[-1]:.0f}") for name, sizes in rows.items()],
    )
    print()
    most = max(sizes[-1] - sizes[0] for sizes in rows.values())
    return check(f"memory over {n_fields * N_CHANNELS:,} images grew by MB", most, TARGET_GROWTH_MB)


def measured(
    files: Sequence[Field], workers: int, n_fields: int
) -> Iterator[list[tuple[tuple[int, float], MeasuredField]]]:
    """Fields measured over processes, each with the process that did it and its memory then."""
    return run_in_chunks(
        measure_and_weigh,
        islice(cycle(files), n_fields),
        workers=workers,
        chunk_size=CHUNK,
        when_crashed=lambda field: ((0, 0.0), MeasuredField(field.key, problem="crashed")),
    )


def measure_and_weigh(fields: list[Field]) -> list[tuple[tuple[int, float], MeasuredField]]:
    """What a process does: measure, and say who it is and how much memory it has."""
    done = measure_fields(fields, RECIPE)
    check_measured(done)
    return [((os.getpid(), resident_mb()), one) for one in done]
