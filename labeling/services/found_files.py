"""The image files a table names, where they are here: tables are written on another computer more often than not."""

from __future__ import annotations

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from imaging.layouts import SourceError, list_files
from imaging.layouts.loaddata import names_in
from imaging.reading import PlaneFacts, UnreadableImage, inspect
from imaging.tables import MetricTable
from labeling.models import Experiment, ImageFile
from labeling.problems import BadValue
from labeling.services.ingest import check_source

READERS = 8  # headers are waited for, not computed: threads do
BATCH = 2_000
Plane = tuple[str, int]  # URI and page


@dataclass
class FoundFiles:
    """For each row of the table that has all its channels here, where they are: {channel: (URI, page)}."""

    planes: dict[int, dict[str, Plane]] = field(default_factory=dict)
    facts: dict[Plane, PlaneFacts] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_files(table: MetricTable, folder: str | None) -> FoundFiles:
    """Look for the table's files at their own address and, by name, below the folder, and read their headers.

    A field is found when every channel is, all readable and of one size. BadValue for a folder that cannot be read.
    """
    found = FoundFiles()
    places = _Places(folder)
    if not table.files:
        if folder:
            found.notes.append("The table names no files (FileName columns), so none was looked for.")
        return found
    wanted: dict[int, dict[str, Plane]] = {}
    for n in range(len(table.rows)):
        planes = {
            channel: (uri, file.pages[n])
            for channel, file in table.files.items()
            if (uri := places.find(file.addresses[n]))
        }
        if len(planes) == len(table.files):
            wanted[n] = planes
    every_plane = list(dict.fromkeys(plane for planes in wanted.values() for plane in planes.values()))
    with ThreadPoolExecutor(READERS) as readers:
        found.facts = {
            plane: facts
            for plane, facts in zip(every_plane, readers.map(_inspect, every_plane), strict=True)
            if facts is not None
        }
    found.planes = {n: planes for n, planes in wanted.items() if all(one in found.facts for one in planes.values())}
    if len(found.planes) < len(wanted):
        found.notes.append(f"Files of {len(wanted) - len(found.planes):,} fields are here but cannot be read.")
    if folder and not found.planes:
        found.notes.append(f"None of the table's files is in {folder}.")
    return found


def store_files(experiment: Experiment, found: FoundFiles, image_ids: np.ndarray) -> tuple[int, list[str]]:
    """Give the Images (N,) of the table's rows their files, where they have none; how many, and what was not done.

    Nothing is done where the experiment's channels are others than the files'.
    """
    if not found.planes:
        return 0, []
    channels = {channel.name: channel for channel in experiment.channels.all()}
    if channels.keys() != next(iter(found.planes.values())).keys():
        return 0, ["Its files are of other channels than those of this experiment and were left where they are."]
    sizes = Counter((fact.width, fact.height) for fact in found.facts.values())
    usual = max(sizes, key=lambda size: sizes[size])
    have_files = set(ImageFile.objects.filter(image__experiment=experiment).values_list("image", flat=True))
    files, n_odd = [], 0
    for n, planes in found.planes.items():
        image_id = int(image_ids[n])
        if not image_id or image_id in have_files:
            continue
        if any((found.facts[one].width, found.facts[one].height) != usual for one in planes.values()):
            n_odd += 1
            continue
        for name, (uri, page) in planes.items():
            fact = found.facts[uri, page]
            files.append(
                ImageFile(
                    image_id=image_id,
                    channel=channels[name],
                    uri=uri,
                    page=page,
                    size_bytes=fact.size_bytes,
                    width=fact.width,
                    height=fact.height,
                    bit_depth=fact.bit_depth,
                )
            )
    ImageFile.objects.bulk_create(files, batch_size=BATCH)
    return len(files), [f"Files of {n_odd:,} fields have another size and were left out."] if n_odd else []


class _Places:
    """Where files may be: below a folder, by their name, or at their own address on this computer."""

    def __init__(self, folder: str | None) -> None:
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.listed: dict[str, set[str]] = {}  # each folder that a table names is listed once
        for uri in _files_below(folder) if folder else ():
            self.by_name[uri.rsplit("/", 1)[-1]].append(uri)

    def find(self, address: str) -> str | None:
        """The file's address here. Of several of its name the one whose path ends most alike, if that is one."""
        plain = address.replace("\\", "/").removeprefix("file://")
        candidates = self.by_name.get(plain.rsplit("/", 1)[-1], []) if plain else []
        if candidates:
            likeness = [_n_common_parts(plain, uri) for uri in candidates]
            best = max(likeness)
            return candidates[likeness.index(best)] if likeness.count(best) == 1 else None
        folder, _, name = plain.rpartition("/")
        # Not on other storage: what a table names there must not make this server ask for it.
        return plain if folder.startswith("/") and name in self._names_in(folder) else None

    def _names_in(self, folder: str) -> set[str]:
        if folder not in self.listed:
            self.listed[folder] = names_in(folder) if _is_open(folder) else set()
        return self.listed[folder]


def _files_below(folder: str) -> list[str]:
    check_source(folder)
    try:
        return list_files(folder)
    except SourceError as problem:
        raise BadValue(str(problem)) from problem


def _is_open(folder: str) -> bool:
    try:
        check_source(folder)
    except BadValue:
        return False
    return True


def _n_common_parts(one: str, other: str) -> int:
    """How many parts two paths share, from their ends."""
    n = 0
    for a, b in zip(reversed(one.split("/")), reversed(other.split("/")), strict=False):
        if a != b:
            break
        n += 1
    return n


def _inspect(plane: Plane) -> PlaneFacts | None:
    try:
        return inspect(*plane)
    except UnreadableImage:
        return None
