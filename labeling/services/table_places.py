"""Which Image each row of a table is about; those that are not there yet are made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from imaging.tables import FieldPlace, MetricTable, TableProblem
from imaging.wells import WellPosition, smallest_format
from labeling.models import Experiment, Image, Plate, Well

BATCH = 2_000


@dataclass
class Matched:
    """The Image of each row (N,), 0 where the row was refused.

    `renamed` are plates that have another name here, as their pixels tell: {in the table: here}.
    """

    image_ids: np.ndarray
    n_new: int = 0
    renamed: dict[str, str] = field(default_factory=dict)
    problems: list[TableProblem] = field(default_factory=list)


def match_images(experiment: Experiment, table: MetricTable) -> Matched:
    """Find Images by what their pixels are, else by plate, well, site and time; make those that are missing."""
    known = _Known(experiment, table)
    matched = Matched(np.zeros(len(table.rows), np.int64))
    new: dict[int, FieldPlace] = {}
    taken: dict[int, int] = {}
    for n, (place, sha256, row) in enumerate(zip(table.places, table.content_hashes, table.rows, strict=True)):
        place = known.as_called_here(place)
        try:
            image_id = known.find(place, sha256)
        except ValueError as problem:
            matched.problems.append(TableProblem(row, "", str(problem)))
            continue
        if image_id is None:
            new[n] = place
        elif taken.setdefault(image_id, row) == row:
            matched.image_ids[n] = image_id
        else:
            reason = f"it is about the same field as row {taken[image_id]}; the first is taken."
            matched.problems.append(TableProblem(row, "", reason))
    made = _make_images(experiment, list(dict.fromkeys(new.values())))
    matched.image_ids[list(new)] = [made[place] for place in new.values()]
    matched.n_new = len(made)
    matched.renamed = known.renamed
    return matched


class _Known:
    """The Images of an experiment, by place and by content; and which plates of a table have another name here."""

    def __init__(self, experiment: Experiment, table: MetricTable) -> None:
        self.by_place: dict[FieldPlace, tuple[int, str]] = {}
        self.by_hash: dict[str, list[tuple[int, FieldPlace]]] = defaultdict(list)
        where = ("plate__barcode", "well__row", "well__column", "site", "timepoint")
        rows = experiment.images.order_by("id").values_list("id", "content_hash", *where)
        for image_id, sha256, *place in rows.iterator(chunk_size=BATCH):
            self.by_place[FieldPlace(*place)] = image_id, sha256
            if sha256:
                self.by_hash[sha256].append((image_id, FieldPlace(*place)))
        self.plates = {place.plate for place in self.by_place}
        self.renamed = self._renamed(table)
        # Whose pixels nobody has read, so that they cannot be compared: plates by well, site and time.
        self.unread: dict[tuple[int, ...], str] = {}
        if any(table.content_hashes):
            unread = experiment.images.with_files().filter(content_hash="").values_list(*where)
            self.unread = {tuple(place): plate for plate, *place in unread.iterator(chunk_size=BATCH)}

    def _renamed(self, table: MetricTable) -> dict[str, str]:
        """Names here of plates of the table, where more than half of their fields are those of one plate here."""
        n_hashed: Counter[str] = Counter()
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for place, sha256 in zip(table.places, table.content_hashes, strict=True):
            if not sha256 or place.plate in self.plates:
                continue
            n_hashed[place.plate] += 1
            found[place.plate].update({there.plate for _, there in self.by_hash[sha256] if there[1:] == place[1:]})
        best = {plate: there.most_common(1)[0] for plate, there in found.items() if there}
        return {plate: there for plate, (there, n) in best.items() if 2 * n > n_hashed[plate]}

    def as_called_here(self, place: FieldPlace) -> FieldPlace:
        return place._replace(plate=self.renamed.get(place.plate, place.plate))

    def find(self, place: FieldPlace, sha256: str) -> int | None:
        """The Image, or None where there is none yet. ValueError when it is other pixels, or that cannot be told."""
        there, sha256_there = self.by_place.get(place, (None, ""))
        if there is not None and (not sha256 or sha256 == sha256_there):
            return there
        same_pixels = self.by_hash.get(sha256, [])
        if len(same_pixels) == 1:
            return same_pixels[0][0]
        field = f"well {WellPosition(place.row, place.column).name}, site {place.site} of plate"
        if sha256_there:
            raise ValueError(
                f"{field} {place.plate} has other pixels here than those the numbers were computed from "
                "(content_hash). Compute them again."
            )
        if place.plate not in self.plates and place[1:] in self.unread:
            raise ValueError(
                f"there is no plate {place.plate} here, and {field} {self.unread[place[1:]]}, which may be the same "
                "field, was not measured yet. Measure the images first, or name the plate as it is called here, and "
                "take the table in again."
            )
        return there


def _make_images(experiment: Experiment, places: list[FieldPlace]) -> dict[FieldPlace, int]:
    """New Images, with their plates and wells; ids by place."""
    wells = _wells_for(experiment, places)
    images = [
        Image(
            experiment=experiment,
            plate_id=well.plate_id,
            well=well,
            site=place.site,
            timepoint=place.timepoint,
        )
        for place in places
        for well in [wells[place.plate, place.row, place.column]]
    ]
    Image.objects.bulk_create(images, batch_size=BATCH)
    return dict(zip(places, (image.pk for image in images), strict=True))


def _wells_for(experiment: Experiment, places: Iterable[FieldPlace]) -> dict[tuple[str, int, int], Well]:
    positions: dict[str, set[WellPosition]] = defaultdict(set)
    for place in places:
        positions[place.plate].add(WellPosition(place.row, place.column))
    wells = {}
    for barcode, wanted in sorted(positions.items()):
        plate = _plate_for(experiment, barcode, wanted)
        Well.objects.bulk_create(
            [Well(plate=plate, row=row, column=column) for row, column in sorted(wanted)],
            ignore_conflicts=True,
            batch_size=BATCH,
        )
        wells |= {(barcode, well.row, well.column): well for well in plate.wells.all()}
    return wells


def _plate_for(experiment: Experiment, barcode: str, positions: Iterable[WellPosition]) -> Plate:
    """The plate, made or grown to the smallest format that holds all its wells."""
    n_rows, n_columns = smallest_format(positions)
    plate, made = Plate.objects.get_or_create(
        experiment=experiment, barcode=barcode, defaults={"n_rows": n_rows, "n_columns": n_columns}
    )
    if not made and (n_rows > plate.n_rows or n_columns > plate.n_columns):
        plate.n_rows, plate.n_columns = max(n_rows, plate.n_rows), max(n_columns, plate.n_columns)
        plate.save(update_fields=["n_rows", "n_columns"])
    return plate
