"""Choosing among the z planes of a field, whether they are files, pages or slices of an array."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median_low
from typing import Literal, NamedTuple

from imaging.layouts.model import Place, PlaneSource, RefusedFile
from imaging.reading import PlaneFacts, UnreadableImage
from imaging.reading.projections import is_projection, projection_uri
from imaging.reading.vendor import is_vendor_format

# An explicit z is the microscope's own number; of pages in a file, the first is 1.
ZRule = Literal["middle", "first", "max projection"] | int
Z_RULES: tuple[Literal["middle", "first", "max projection"], ...] = ("middle", "first", "max projection")


class ChosenPlanes(NamedTuple):
    """One plane for each field and channel, and how many further z planes were left out."""

    planes: list[PlaneSource]
    n_left_out: int


def parse_z_rule(text: str) -> ZRule:
    """The rule of a form's or setting's text: one of `Z_RULES`, or a number. ValueError when it is neither."""
    cleaned = text.strip().casefold()
    for rule in Z_RULES:
        if cleaned == rule:
            return rule
    number = cleaned.removeprefix("z").strip()
    if number.isascii() and number.isdigit() and len(number) < 7:
        return int(number)
    raise ValueError(f"{text!r} is no rule for z; there are: {', '.join(Z_RULES)}, or the number of a z plane.")


def choose_z(planes: Sequence[PlaneSource], rule: ZRule = "middle") -> ChosenPlanes:
    """One plane for each field and channel. Each channel is chosen by itself.

    "middle": the microscope's projection (z None) where there is one, else the middle z (of an even number the lower
    of the two). "first": the lowest z. "max projection": the microscope's projection, else the maximum of all z
    planes, which then has the address of a projection. A number: that z; stacks without it give nothing, and
    `lacking_z` names them. What has no z is taken by every rule. ValueError when no stack has the number.
    """
    stacks = stacks_of(planes)
    if isinstance(rule, int) and stacks and not any(from_stack(stack, rule) for stack in stacks):
        there = sorted({plane.z for plane in planes if plane.z is not None})
        raise ValueError(f"There is no z {rule}; z is {there[0]} to {there[-1]}.")
    chosen: list[PlaneSource] = []
    n_used = 0
    for stack in stacks:
        plane = from_stack(stack, rule)
        if plane is not None:
            chosen.append(plane)
            n_used += len(stack) if is_projection(plane.uri) else 1
    return ChosenPlanes(chosen, len(planes) - n_used)


def stacks_of(planes: Sequence[PlaneSource]) -> list[list[PlaneSource]]:
    """The planes of each field and channel."""
    stacks: dict[tuple[object, ...], list[PlaneSource]] = {}
    for plane in planes:
        stacks.setdefault(place_of(plane), []).append(plane)
    return list(stacks.values())


def place_of(plane: PlaneSource | Place) -> tuple[object, ...]:
    """Which channel of which Image a plane is of."""
    return plane.plate, plane.well, plane.site, plane.channel, plane.timepoint


def from_stack(stack: list[PlaneSource], rule: ZRule) -> PlaneSource | None:
    """The plane of a stack by the rule; None when it lacks the z that was asked for."""
    by_z: dict[int | None, PlaneSource] = {}
    for plane in stack:
        by_z.setdefault(plane.z, plane)
    projection = by_z.pop(None, None)
    slices = {z: plane for z, plane in by_z.items() if z is not None}
    if not slices:
        return projection
    if isinstance(rule, int):
        return slices.get(rule)
    if rule == "first":
        return slices[min(slices)]
    if projection is not None:
        return projection
    if rule == "middle":
        return slices[median_low(slices)]
    if len(slices) == 1:
        return stack[0]
    ordered = [slices[z] for z in sorted(slices)]
    uri = projection_uri([(plane.uri, plane.page) for plane in ordered])
    return replace(ordered[0], uri=uri, page=0, z=None)


def lacking_z(planes: Sequence[PlaneSource], rule: ZRule) -> list[RefusedFile]:
    """The places where `choose_z` found nothing, because the stack lacks the z that was asked for."""
    lacking = []
    for stack in stacks_of(planes):
        if from_stack(stack, rule) is None:
            one = stack[0]
            there = sorted(plane.z for plane in stack if plane.z is not None)
            place = Place(
                one.plate, one.well, one.site, one.channel, one.timepoint, rule if isinstance(rule, int) else None
            )
            reason = f"of z {rule} is not there; the stack has z {', '.join(map(str, there))}"
            lacking.append(RefusedFile(f"{one.uri}#z{rule}", reason, place))
    return lacking


def still_missing(refused: Iterable[RefusedFile], chosen: Iterable[PlaneSource]) -> list[RefusedFile]:
    """Of the missing planes, one for each channel and Image that the chosen planes do not show: these stay incomplete.

    A stack that lacks one z plane is shown by the others.
    """
    shown = {place_of(plane) for plane in chosen}
    kept: dict[tuple[object, ...], RefusedFile] = {}
    for one in refused:
        if one.place is not None and place_of(one.place) not in shown:
            kept.setdefault(place_of(one.place), one)
    return list(kept.values())


def settle(plane: PlaneSource, facts: PlaneFacts, rule: ZRule = "middle") -> PlaneSource:
    """The plane to take from a file whose pages are a z stack; the plane itself when the file has one page.

    For layouts that do not name pages (`Layout.names_pages`). UnreadableImage when the pages are channels or
    timepoints, or lack the z that was asked for: taking one of them would be a guess.
    """
    if is_projection(plane.uri) or facts.n_pages == 1 or plane.page != 0:
        return plane
    if facts.n_channels > 1 or facts.n_timepoints > 1:
        kind, number = ("channels", facts.n_channels) if facts.n_channels > 1 else ("timepoints", facts.n_timepoints)
        how = "export each by itself" if is_vendor_format(plane.uri) else "choose the layout OME-TIFF, or export each"
        raise UnreadableImage(f"holds {number} {kind} in one file; {how}", plane.uri)
    slices = [replace(plane, page=page, z=page + 1) for page in range(facts.n_slices)]
    if len(slices) == 1:
        return plane  # further pages are smaller copies
    found = from_stack(slices, rule)
    if found is None:
        raise UnreadableImage(f"has {facts.n_slices} z planes; z {rule} is not there", plane.uri)
    # A stack of several pages in one step of several files: the file's own z says more.
    return found if plane.z is None else replace(found, z=plane.z)


def explain_rule(rule: ZRule) -> str:
    """The rule in a few words, for a page."""
    words: dict[object, str] = {
        "middle": "the microscope's projection, else the middle z plane",
        "first": "the lowest z plane",
        "max projection": "the microscope's projection, else the maximum of all z planes",
    }
    return words.get(rule, f"z plane {rule}")


__all__ = [
    "Z_RULES",
    "ChosenPlanes",
    "ZRule",
    "choose_z",
    "explain_rule",
    "lacking_z",
    "parse_z_rule",
    "settle",
    "still_missing",
]
