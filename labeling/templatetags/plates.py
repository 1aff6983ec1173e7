"""Draw plates. A 1536-well plate in a template's loops would take half a second; as joined text it takes 5 ms."""

from __future__ import annotations

from django import template
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
    parts = [
        f'<svg class="plate-map" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="Plate {escape(plate.plate.barcode)}, {n_rows * n_columns} wells">',
        f'<rect class="plate-ground" x="{MARGIN}" y="{MARGIN}" width="{n_columns * CELL}" height="{n_rows * CELL}"/>',
        *(
            f'<text class="plate-axis" x="{MARGIN + column * CELL - CELL / 2}" y="6">{column}</text>'
            for column in range(1, n_columns + 1, every)
        ),
        *(
            f'<text class="plate-axis" x="4" y="{MARGIN + row * CELL - 2.6}">{row_letters(row)}</text>'
            for row in range(1, n_rows + 1)
        ),
        *(_well(well, colouring, well.pk in marked) for well in plate.wells),
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
