"""The headers of the files of a source: what can be taken, what is known, and why the rest cannot be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from imaging.headers import Headers, Progress, read_headers, refuse_unlike
from imaging.layouts import PlaneSource
from imaging.layouts import RefusedFile as Refused
from imaging.layouts.reading import Reading
from imaging.reading import PlaneFacts
from labeling.models import Experiment, ImageFile
from labeling.problems import BadValue
from labeling.services.same_content import moved_files


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
    headers = read_headers(to_look_at, reading, progress)
    new = [plane for plane in headers.planes if (plane.uri, plane.page) not in known]
    n_known = len(reading.planes) - len(new)
    # A stack that is there was looked at for nothing, and counts among the files of the experiment.
    headers.facts = {plane: headers.facts[plane] for plane in new if plane in headers.facts}
    if not headers.facts and not n_known:
        raise BadValue(_nothing_to_read(source, new, headers.problems, reading.missing))
    _refuse_unlike(experiment, headers)
    moved = moved_files(experiment, new, headers.facts) if experiment is not None else {}
    return Looked([plane for plane in new if plane not in moved], headers.facts, headers.problems, moved, n_known)


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


def _refuse_unlike(experiment: Experiment | None, headers: Headers) -> None:
    """Refuse planes that most files of the experiment, or of the channel, are not like."""
    sizes = {(width, height): n for width, height, n in _counted(experiment, "width", "height")}
    depths = {(channel, depth): n for channel, depth, n in _counted(experiment, "channel__name", "bit_depth")}
    refuse_unlike(headers, sizes, depths)


def _counted(experiment: Experiment | None, *fields: str) -> Iterable[tuple]:
    """The values of these fields among the files of the experiment, and how many files have them."""
    if experiment is None:
        return ()
    files = ImageFile.objects.filter(image__experiment=experiment).order_by().values_list(*fields)
    return files.annotate(n_files=Count("pk"))
