"""The headers of the files of a source: what can be taken, what is known, and why the rest cannot be read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from django.db.models import Count

from imaging.layouts import PlaneSource, settle
from imaging.layouts import RefusedFile as Refused
from imaging.measure import of_another_depth
from imaging.reading import PlaneFacts, UnreadableImage, inspect
from labeling.models import Experiment, ImageFile
from labeling.problems import BadValue
from labeling.services.same_content import moved_files
from labeling.services.sources import Reading

Progress = Callable[[int, int], None]
READERS = 8  # headers are waited for, not computed: threads do


@dataclass(frozen=True)
class Looked:
    """What the headers of a source's new files say: facts, or the reason of a refusal, for each of `new`.

    `moved` are files that are there under another address, `n_known` how many are there under this one.
    """

    new: list[PlaneSource]
    facts: dict[PlaneSource, PlaneFacts]
    refusals: dict[PlaneSource, str]
    moved: dict[PlaneSource, ImageFile]
    n_known: int


def look_at_files(experiment: Experiment | None, reading: Reading, source: str, progress: Progress | None) -> Looked:
    """Read the header of each file that the experiment, if there is one, does not have."""
    known = dict(_known_planes(experiment))
    to_look_at = [plane for plane in reading.planes if not _is_known(plane, known, reading)]
    settled, facts, refusals = _inspect_all(to_look_at, reading, progress)
    new = [plane for plane in settled if (plane.uri, plane.page) not in known]
    n_known = len(reading.planes) - len(new)
    facts = {plane: facts[plane] for plane in new if plane in facts}
    if not facts and not n_known:
        raise BadValue(_nothing_to_read(source, new, refusals, reading.missing))
    refusals |= _unlike_the_others(experiment, facts)
    moved = moved_files(experiment, new, facts) if experiment is not None else {}
    return Looked([plane for plane in new if plane not in moved], facts, refusals, moved, n_known)


def _known_planes(experiment: Experiment | None) -> Iterable[tuple[tuple[str, int], int | None]]:
    """Address and page of each file of the experiment, and its z."""
    if experiment is None:
        return []
    files = ImageFile.objects.filter(image__experiment=experiment).values_list("uri", "page", "z")
    return (((uri, page), z) for uri, page, z in files)


def _is_known(plane: PlaneSource, known: dict[tuple[str, int], int | None], reading: Reading) -> bool:
    """Whether the plane is there. Where the rule may choose another page of the file, only its header tells."""
    if (plane.uri, plane.page) not in known:
        return False
    is_page_of_a_stack = plane.z is None and known[plane.uri, plane.page] is not None
    return reading.layout.names_pages or not is_page_of_a_stack


def _nothing_to_read(
    source: str, planes: list[PlaneSource], refusals: dict[PlaneSource, str], missing: list[Refused]
) -> str:
    """What to tell when no image could be read: the first reason."""
    n_all = len(planes) + len(missing)
    uri, reason = (planes[0].uri, refusals[planes[0]]) if planes else (missing[0].uri, missing[0].reason)
    return f"None of the {n_all:,} images in {source} can be read. The first, {uri.rsplit('/', 1)[-1]}, {reason}."


def _inspect_all(
    planes: list[PlaneSource], reading: Reading, progress: Progress | None
) -> tuple[list[PlaneSource], dict[PlaneSource, PlaneFacts], dict[PlaneSource, str]]:
    """The planes to take, their facts where they are readable, and the reason where they are not.

    Of a file whose pages are a z stack, the plane to take is known only now.
    """
    settled: list[PlaneSource] = []
    facts: dict[PlaneSource, PlaneFacts] = {}
    refusals: dict[PlaneSource, str] = {}
    with ThreadPoolExecutor(READERS) as readers:
        found = readers.map(partial(_inspect, reading), planes)
        for n, (plane, fact) in enumerate(found, start=1):
            settled.append(plane)
            if isinstance(fact, str):
                refusals[plane] = fact
            else:
                facts[plane] = fact
            if progress:
                progress(n, len(planes))
    return settled, facts, refusals


def _inspect(reading: Reading, plane: PlaneSource) -> tuple[PlaneSource, PlaneFacts | str]:
    try:
        facts = inspect(plane.uri, plane.page)
        if reading.layout.names_pages:
            return plane, facts
        settled = settle(plane, facts, reading.rule)
        return settled, facts if settled is plane else inspect(settled.uri, settled.page)
    except UnreadableImage as reason:
        return plane, str(reason)


def _unlike_the_others(experiment: Experiment | None, facts: dict[PlaneSource, PlaneFacts]) -> dict[PlaneSource, str]:
    """Planes that most files of the experiment, or of the channel, are not like; they are taken out of `facts`."""
    return _mis_sized(experiment, facts) | _of_another_depth(experiment, facts)


def _mis_sized(experiment: Experiment | None, facts: dict[PlaneSource, PlaneFacts]) -> dict[PlaneSource, str]:
    """Planes that do not have the size of most files of the experiment."""
    sizes = Counter((fact.width, fact.height) for fact in facts.values())
    for width, height, n_files in _counted(experiment, "width", "height"):
        sizes[width, height] += n_files
    if len(sizes) < 2:
        return {}
    (width, height), count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    odd = {plane: fact for plane, fact in facts.items() if (fact.width, fact.height) != (width, height)}
    for plane in odd:
        del facts[plane]
    return {
        plane: f"is {fact.width} x {fact.height} pixels, where {count:,} other files are {width} x {height}; "
        "copy it again, or take images of another size as another experiment"
        for plane, fact in odd.items()
    }


def _of_another_depth(experiment: Experiment | None, facts: dict[PlaneSource, PlaneFacts]) -> dict[PlaneSource, str]:
    """Planes of 8 bits where most of the channel have 16, or the other way: a full scale would mean something else."""
    depths: dict[str, Counter[int]] = defaultdict(Counter)
    for plane, fact in facts.items():
        depths[plane.channel][fact.bit_depth] += 1
    for channel, depth, n_files in _counted(experiment, "channel__name", "bit_depth"):
        depths[channel][depth] += n_files
    usual = {channel: max(counts, key=lambda depth: (counts[depth], depth)) for channel, counts in depths.items()}
    odd = {plane: fact for plane, fact in facts.items() if fact.bit_depth != usual[plane.channel]}
    for plane in odd:
        del facts[plane]
    return {plane: of_another_depth(fact.bit_depth, usual[plane.channel]) for plane, fact in odd.items()}


def _counted(experiment: Experiment | None, *fields: str) -> Iterable[tuple]:
    """The values of these fields among the files of the experiment, and how many files have them."""
    if experiment is None:
        return ()
    files = ImageFile.objects.filter(image__experiment=experiment).order_by().values_list(*fields)
    return files.annotate(n_files=Count("pk"))
