"""Draw plates. A 1536-well plate in a template's loops would take half a second; as joined text it takes 5 ms."""

from __future__ import annotations

from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from imaging.wells import row_letters
from labeling.models import Well
from labeling.services.plate_map import PlateOnMap, WellOnMap
from labeling.services.well_colours import Colouring

register = template.Library()
CELL, MARGIN = 10, 8


@register.simple_tag
def plate_svg(plate: PlateOnMap, colouring: Colouring, marked: set[int]) -> SafeString:
    """A plate as SVG: every position of its format, wells with images as links, controls with a dot.

    `marked`: wells that are outlined, such as those of a treatment that somebody looks for.
    """
    n_rows, n_columns = plate.plate.n_rows, plate.plate.n_columns
    width, height = MARGIN + n_columns * CELL, MARGIN + n_rows * CELL
    every = 1 if n_columns <= 24 else 2
    gallery = reverse("gallery", args=[plate.plate.experiment_id])

    def axis(name: str, value: object, x: float, y: float) -> str:
        """The name of a row or column, which leads to all its fields; by keyboard they are reached from a well."""
        address = escape(f"{gallery}?{urlencode({'plate': plate.plate.barcode, name: value})}")
        title = f"All fields of {name} {value}"
        text = f'<text class="plate-axis" x="{x}" y="{y}">{value}</text>'
        return f'<a href="{address}" tabindex="-1" aria-label="{title}">{text}<title>{title}</title></a>'

    parts = [
        f'<svg class="plate-map" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="Plate {escape(plate.plate.barcode)}, {n_rows * n_columns} wells">',
        f'<rect class="plate-ground" x="{MARGIN}" y="{MARGIN}" width="{n_columns * CELL}" height="{n_rows * CELL}"/>',
        *(_well(well, colouring, well.pk in marked) for well in plate.wells),
        *(axis("column", column, MARGIN + column * CELL - CELL / 2, 6) for column in range(1, n_columns + 1, every)),
        *(axis("row", row_letters(row), 4, MARGIN + row * CELL - 2.6) for row in range(1, n_rows + 1)),
        "</svg>",
    ]
    return mark_safe("".join(parts))


def _well(well: WellOnMap, colouring: Colouring, is_marked: bool) -> str:
    colour = colouring.colours.get(well.pk)
    x, y = MARGIN + (well.column - 1) * CELL, MARGIN + (well.row - 1) * CELL
    css = f"well {colour.css if colour else 'well-nothing'}{' is-marked' if is_marked else ''}"
    dot = f'<circle class="well-control" cx="{x + 5}" cy="{y + 5}" r="1.6"/>' if well.role == Well.Role.CONTROL else ""
    words = escape(words_of(well, colour.words if colour else "nothing known"))
    return (
        f'<a href="?well={well.pk}#fields" tabindex="-1" data-well="{well.pk}" data-row="{well.row}" '
        f'data-column="{well.column}" aria-label="{words}"><rect class="{css}" x="{x + 0.5}" y="{y + 0.5}" '
        f'width="{CELL - 1}" height="{CELL - 1}" rx="1"/>{dot}<title>{words}</title></a>'
    )


def words_of(well: WellOnMap, value: str) -> str:
    """What a well is, for hovering: `B07 · control M1 · compound X, dose 3 · 2 of 9 fields fall out (22 %)`."""
    parts = [well.name]
    if well.role != Well.Role.SAMPLE or well.control_class:
        parts.append(f"{well.role} {well.control_class}".strip())
    if well.treatment:
        parts.append(", ".join(f"{name} {entry}" for name, entry in well.treatment.items()))
    return " · ".join([*parts, value])
