"""Pixels to numbers: time per metric family, per file and per field; memory of one process.

Times are the best of several repeats on one core: other programs only ever add to them. Ratios are of times measured
one after the other in the same run, so they hold on other computers too.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import combinations, cycle, islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import tifffile
from scipy import ndimage
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import threshold_otsu
from threadpoolctl import threadpool_limits

from imaging.measure import ChannelRecipe, Field, FileOfField, MeasuredField, draw_thumbnails, measure_fields
from imaging.metrics import (
    CELLPROFILER,
    FAMILIES,
    PAIR_FAMILIES,
    PAIR_METRICS,
    PLANE_METRICS,
    measure_field_planes,
    measure_plane,
)
from imaging.metrics.facts import PlaneFacts, check_plane
from imaging.metrics.registry import Family
from imaging.previews import DisplayRange
from imaging.reading import read_plane
from imaging.simulate import PlateRecipe, plan_plate, render_field

SIDE_PX = 1080
LARGE_PX = 2160
UINT16_MAX = 65535
N_CHANNELS = 5
DIFFERENT_FIELDS = 6  # cells differ from field to field; files are then read again
WARM_UP_FIELDS = 10  # after these, memory and caches are what they will be
COLOURS = ("#4c7dff", "#35d06a", "#ff5252", "#ffc400", "#d05ce3")
RECIPE = [
    ChannelRecipe(f"C{number}", colour, DisplayRange(100, 6000), UINT16_MAX) for number, colour in enumerate(COLOURS, 1)
]

TARGET_CELLPROFILER_MS = 25.0
TARGET_PLANE_MS = 45.0
TARGET_LARGE_RATIO = 4.5
TARGET_GROWTH_MB = 20.0


def run(*, quick: bool) -> list[str]:
    """Print the tables; returns the targets that were missed, in words."""
    repeats = 5 if quick else 15
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"{len(PLANE_METRICS)} metrics a channel, {len(PAIR_METRICS)} a pair of channels; uint16, uncompressed\n")
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cellqc-bench-") as folder, one_thread():
        fields = render(DIFFERENT_FIELDS)
        files = [write(Path(folder), f"field{number}", planes) for number, planes in enumerate(fields)]
        large = [np.ascontiguousarray(np.tile(plane, (2, 2))) for plane in fields[0]]
        large_file = write(Path(folder), "large", large[:1])
        with one_core():
            missed += bench_families(fields[0], large, repeats)
            missed += bench_files(files[0], large_file, repeats)
            bench_field(fields[0], files[0], repeats)
            missed += bench_memory(files, 40 if quick else 150)
    return missed


# What is measured


def bench_families(planes: Sequence[np.ndarray], large: Sequence[np.ndarray], repeats: int) -> list[str]:
    """Each family alone, in the order of the registry: what several share is paid by the first that asks."""
    of_size = [time_families(plane, repeats) for plane in (planes[1], large[1])]
    rows = [row(name, small, of_size[1][name]) for name, small in of_size[0].items()]
    ours, ours_large = (best(partial(cellprofiler_family, plane), repeats) for plane in (planes[1], large[1]))
    every, every_large = (
        best(partial(measure_plane, plane, container_max=UINT16_MAX), repeats) for plane in (planes[1], large[1])
    )
    plain, plain_large = (
        best(partial(plain_cellprofiler_family, plane), max(repeats // 5, 1)) for plane in (planes[1], large[1])
    )
    print_table(
        ("metric family", f"{SIDE_PX} px ms", f"{LARGE_PX} px ms", "ratio"),
        [
            *rows,
            row("CellProfiler's 18 metrics", ours, ours_large),
            row(f"all {len(PLANE_METRICS)} metrics", every, every_large),
            row("CellProfiler's 18, plain numpy and scikit-image", plain, plain_large),
        ],
    )
    print(f"The same 18 metrics written plainly take {plain / ours:.0f} times as long.\n")
    return check("CellProfiler's family, ms", ours, TARGET_CELLPROFILER_MS)


def bench_files(file: Field, large_file: Field, repeats: int) -> list[str]:
    """One channel from its file: read, hash, decode, all metrics, thumbnail."""
    one = Field(0, file.files[1:2])
    small, large = (best(partial(measure_fields, [each], RECIPE[:1]), repeats) for each in (one, large_file))
    print_table(
        ("one channel from its file", f"{SIDE_PX} px ms", f"{LARGE_PX} px ms", "ratio"),
        [row("read, hash, metrics, thumbnail", small, large)],
    )
    print(f"200,000 images take one core {small * 200_000 / 3_600_000:.1f} hours; CellProfiler took 70.\n")
    return check("one channel, ms", small, TARGET_PLANE_MS) + check("ratio of sizes", large / small, TARGET_LARGE_RATIO)


def bench_field(planes: Sequence[np.ndarray], file: Field, repeats: int) -> None:
    """A field of five channels, and where its time goes."""
    facts = [check_plane(plane, UINT16_MAX) for plane in planes]
    for plane in facts:
        _ = plane.coarse_ascending, plane.coarse_is_constant
    read = [read_plane(one.uri) for one in file.files]
    tops, ceilings = [UINT16_MAX] * N_CHANNELS, [None] * N_CHANNELS
    pairs = list(combinations(facts, 2))
    parts = {
        "read, hash, decode": best(lambda: [read_plane(one.uri) for one in file.files], repeats),
        "metrics": best(lambda: measure_field_planes(planes, tops, ceilings), repeats),
        f"   of these, {len(pairs)} pairs": best(
            lambda: [family.measure(a, b) for a, b in pairs for family in PAIR_FAMILIES], repeats
        ),
        "thumbnails": best(lambda: draw_thumbnails(read, RECIPE), repeats),
        "all of it": best(partial(measure_fields, [file], RECIPE), repeats),
    }
    print_table(
        (f"field of {N_CHANNELS} channels, {SIDE_PX} px", "ms", "ms a channel"),
        [(name, f"{ms:.1f}", f"{ms / N_CHANNELS:.1f}") for name, ms in parts.items()],
    )
    print()


def bench_memory(files: Sequence[Field], n_fields: int) -> list[str]:
    """Memory of this process after the first fields and after many more."""
    sizes = []
    for number, field in enumerate(islice(cycle(files), n_fields + WARM_UP_FIELDS), 1):
        check_measured(measure_fields([field], RECIPE))
        if number >= WARM_UP_FIELDS:
            sizes.append(resident_mb())
    if not sizes[0]:
        print("This system does not tell how much memory a process has.\n")
        return []
    growth = sizes[-1] - sizes[0]
    n_images = n_fields * N_CHANNELS
    print_table(
        ("memory of one process", "MB"),
        [
            (f"after {WARM_UP_FIELDS * N_CHANNELS} images", f"{sizes[0]:.0f}"),
            (f"after {n_images:,} more", f"{sizes[-1]:.0f}"),
            ("at most", f"{max(sizes):.0f}"),
        ],
    )
    print()
    return check(f"memory over {n_images:,} images grew by MB", growth, TARGET_GROWTH_MB)


# With what


def time_families(pixels: np.ndarray, repeats: int) -> dict[str, float]:
    """Best time of each family, ms, and of what comes before them all."""
    names = [first_and_last(family) for family in FAMILIES]
    times = dict.fromkeys(["histogram", *names], float("inf"))
    for _ in range(repeats + 1):  # the first one compiles
        start = time.perf_counter()
        facts = check_plane(pixels, UINT16_MAX)
        _ = facts.variance
        times["histogram"] = min(times["histogram"], 1e3 * (time.perf_counter() - start))
        for name, family in zip(names, FAMILIES, strict=True):
            start = time.perf_counter()
            family.measure(facts)
            times[name] = min(times[name], 1e3 * (time.perf_counter() - start))
    return times


def first_and_last(family: Family) -> str:
    keys = [metric.key.partition("_")[2] for metric in family.metrics]
    return keys[0] if len(keys) == 1 else f"{keys[0]} ... {keys[-1]}"


def cellprofiler_family(pixels: np.ndarray) -> None:
    """CellProfiler's metrics as we measure them, and nothing else."""
    facts: PlaneFacts = check_plane(pixels, UINT16_MAX)
    for family in FAMILIES:
        if family.metrics[0].prefix == CELLPROFILER:
            family.measure(facts)


def plain_cellprofiler_family(pixels: np.ndarray) -> dict[str, float]:
    """The same metrics as one would first write them, with numpy, scipy and scikit-image."""
    x = pixels.astype(np.float32) / np.float32(UINT16_MAX)
    height, width = x.shape
    mean, median = float(x.mean()), float(np.median(x))
    found = {
        "FocusScore": float(np.square(x - mean).sum()) / (x.size * mean),
        "PercentMaximal": 100 * float((x == x.max()).mean()),
        "PercentMinimal": 100 * float((x == x.min()).mean()),
        "TotalIntensity": float(x.sum()),
        "MeanIntensity": mean,
        "MedianIntensity": median,
        "StdIntensity": float(x.std()),
        "MADIntensity": float(np.median(np.abs(x - median))),
        "MinIntensity": float(x.min()),
        "MaxIntensity": float(x.max()),
        "ThresholdOtsu": float(np.exp(threshold_otsu(np.log(np.maximum(x, 1 / 65536)), nbins=256))),
    }
    greys = np.minimum((x - x.min()) / (x.max() - x.min()) * 8, 7).astype(np.uint8)
    for scale_px in (10, 20):
        n_down, n_across = -(-height // scale_px), -(-width // scale_px)
        blocks = (np.arange(height) * n_down // height)[:, None] * n_across + np.arange(width) * n_across // width
        which = np.arange(n_down * n_across)
        variances, means = ndimage.variance(x, blocks, which), ndimage.mean(x, blocks, which)
        contrasts = variances[means != 0] / means[means != 0]
        found[f"LocalFocusScore_{scale_px}"] = float(np.var(contrasts) / np.median(contrasts))
        matrix = graycomatrix(greys, [scale_px], [0], levels=8)
        found[f"Correlation_{scale_px}"] = float(graycoprops(matrix, "correlation")[0, 0])
    power = np.abs(np.fft.fft2(x - mean)) ** 2
    ky, kx = (np.minimum(np.arange(side), side - 1 - np.arange(side)) for side in x.shape)
    rings = np.floor(np.hypot(ky[:, None], kx)).astype(int) + 1
    wanted = np.arange(2, min(height, width) // 8)
    summed = ndimage.sum(power, rings, wanted)
    found["PowerLogLogSlope"] = float(np.polyfit(np.log(wanted), np.log(summed), 1)[0])
    return found


def render(n_fields: int) -> list[list[np.ndarray]]:
    """Simulated fields of five channels: three of one field and two of the next."""
    recipe = PlateRecipe(rows=4, columns=8, sites=1, size=(SIDE_PX, SIDE_PX))
    drawn = [render_field(recipe, plan) for plan in plan_plate(recipe)[: n_fields + 1]]
    return [[*first, *second[:2]] for first, second in pairwise(drawn)]


def write(folder: Path, name: str, planes: Sequence[np.ndarray]) -> Field:
    """The planes as uncompressed TIFFs."""
    files = []
    for channel, plane in zip(RECIPE, planes, strict=False):
        path = folder / f"{name}_{channel.name}.tif"
        tifffile.imwrite(path, plane)
        files.append(FileOfField(channel.name, str(path)))
    return Field(0, tuple(files))


def best(work: Callable[[], object], repeats: int) -> float:
    """Shortest time in ms, after one run that compiles and fills the caches."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def check_measured(results: Sequence[MeasuredField]) -> None:
    """A benchmark of work that failed would be fast and wrong."""
    for result in results:
        if result.values is None:
            raise RuntimeError(f"A field could not be measured: {result.problem}")


def resident_mb() -> float:
    """Memory this process has now, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as status:
            return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


@contextmanager
def one_core() -> Iterator[None]:
    """Stay on one core, where the system lets a program choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def one_thread() -> Iterator[None]:
    """As in the workers (`imaging.threads`), and undone after: other benchmarks run in this process."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        cv2.setNumThreads(threads)


def check(what: str, value: float, most: float) -> list[str]:
    """The target in words if it was missed."""
    return [] if value <= most else [f"{what}: {abs(value):.1f}, the target is {abs(most):g}"]


def row(name: str, small: float, large: float) -> tuple[str, str, str, str]:
    return name, f"{small:.2f}", f"{large:.2f}", f"{large / small:.1f}" if small >= 0.1 else ""


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be, the first to the left, numbers to the right."""
    widths = [max(len(line[n]) for line in [header, *rows]) for n in range(len(header))]
    for number, line in enumerate([header, *rows]):
        cells = [
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
