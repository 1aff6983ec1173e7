"""The headers of the planes of a source: what can be taken, what is known of it, and why the rest cannot.

Ingest and `python -m imaging measure` ask here, so that both refuse a file for the same reason, in the same words.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from imaging.layouts import PlaneSource, ZRule, settle
from imaging.layouts.reading import Reading
from imaging.measure import of_another_depth
from imaging.reading import PlaneFacts, UnreadableImage, inspect

Progress = Callable[[int, int], None]
Size = tuple[int, int]
WINDOW = 10_000
READERS = 8  # headers are waited for, not computed: threads do


@dataclass
class Headers:
    """The planes to take in the order they were asked for, with facts, or in `problems` why they cannot be taken.

    Of a file whose pages are a z stack, the plane to take is known only from its header.
    """

    planes: list[PlaneSource] = field(default_factory=list)
    facts: dict[PlaneSource, PlaneFacts] = field(default_factory=dict)
    problems: dict[PlaneSource, str] = field(default_factory=dict)


def read_headers(planes: Sequence[PlaneSource], reading: Reading, progress: Progress | None = None) -> Headers:
    """The header of each of these planes of a source, by its z rule."""
    # A layout that names pages has chosen already; of other files several pages are a z stack.
    rule = None if reading.layout.names_pages else reading.rule
    headers = Headers()
    with ThreadPoolExecutor(READERS) as readers:
        # In windows: a thread pool keeps an object of 1.6 kB for each call it was ever given.
        windows = (planes[start : start + WINDOW] for start in range(0, len(planes), WINDOW))
        looks = (look for window in windows for look in readers.map(partial(_look, rule), window))
        for n, (plane, found) in enumerate(looks, start=1):
            headers.planes.append(plane)
            if isinstance(found, str):
                headers.problems[plane] = found
            else:
                headers.facts[plane] = found
            if progress:
                progress(n, len(planes))
    return headers


def _look(rule: ZRule | None, plane: PlaneSource) -> tuple[PlaneSource, PlaneFacts | str]:
    try:
        facts = inspect(plane.uri, plane.page)
        settled = plane if rule is None else settle(plane, facts, rule)
        return settled, facts if settled is plane else inspect(settled.uri, settled.page)
    except UnreadableImage as reason:
        return plane, str(reason)


def refuse_unlike(
    headers: Headers,
    sizes_there: Mapping[Size, int] | None = None,
    depths_there: Mapping[tuple[str, int], int] | None = None,
) -> None:
    """Make a problem of each plane that is not like most others; `facts` keeps those that are.

    What is there already counts too: how many files by (width, height), and by (channel, bit depth).
    """
    _refuse_other_sizes(headers, Counter(sizes_there or {}))
    _refuse_other_depths(headers, depths_there or {})


def _refuse_other_sizes(headers: Headers, sizes: Counter[Size]) -> None:
    """Planes that do not have the size of most."""
    sizes.update((facts.width, facts.height) for facts in headers.facts.values())
    if len(sizes) < 2:
        return
    (width, height), count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    for plane, facts in list(headers.facts.items()):
        if (facts.width, facts.height) != (width, height):
            del headers.facts[plane]
            headers.problems[plane] = (
                f"is {facts.width} x {facts.height} pixels, where {count:,} other files are {width} x {height}; "
                "copy it again, or take images of another size by themselves, as another experiment"
            )


def _refuse_other_depths(headers: Headers, there: Mapping[tuple[str, int], int]) -> None:
    """Planes of 8 bits where most of the channel have 16, or the other way: a full scale would mean something else."""
    depths: dict[str, Counter[int]] = defaultdict(Counter)
    for (channel, depth), n_files in there.items():
        depths[channel][depth] += n_files
    for plane, facts in headers.facts.items():
        depths[plane.channel][facts.bit_depth] += 1
    usual = {channel: max(counts, key=lambda depth: (counts[depth], depth)) for channel, counts in depths.items()}
    for plane, facts in list(headers.facts.items()):
        if facts.bit_depth != usual[plane.channel]:
            del headers.facts[plane]
            headers.problems[plane] = of_another_depth(facts.bit_depth, usual[plane.channel])


def why_incomplete(lacking: Iterable[str], reasons: Mapping[str, str]) -> str:
    """What to say of a field that lacks these channels, by their refused files; "" when it lacks none."""
    return "; ".join(
        f"{channel}: the file {reasons[channel]}" if channel in reasons else f"{channel}: there is no file"
        for channel in lacking
    )
