"""One field: cells, then what went wrong, then the microscope."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imaging.simulate.artefacts import DRAW, saturate
from imaging.simulate.camera import OFFSET, expose, light, signal_scale
from imaging.simulate.cells import draw_culture
from imaging.simulate.kinds import Planes
from imaging.simulate.plan import CHANNELS, FieldPlan, PlateRecipe
from imaging.simulate.population import NO_PHENOTYPE, PHENOTYPES, blend, draw_cells
from imaging.simulate.randomness import generator


def render_field(recipe: PlateRecipe, plan: FieldPlan) -> NDArray[np.uint16]:
    """The pixels of one field, (channels, H, W) in the recipe's channel order.

    Depends on nothing but its arguments: cells, defect and camera noise have their own random streams, so
    `render_field(recipe, plan.pristine)` is the same field without its defect.
    """
    well = (recipe.barcode, plan.row, plan.column)
    look = blend(PHENOTYPES[plan.phenotype], plan.effect) if plan.phenotype else NO_PHENOTYPE
    rng = generator(recipe.seed, "cells", *well, plan.site)
    cells = draw_cells(rng, recipe.size, plan.density, look)
    signal = draw_culture(rng, recipe.size, cells, look)
    # Staining and pipetting differ a little from well to well.
    stain = generator(recipe.seed, "stain", *well).lognormal(0, 0.07, len(CHANNELS))
    signal *= stain.astype(np.float32)[:, None, None]
    if plan.defect in DRAW:
        signal = _spoil(recipe, plan, signal)
    signal = signal * light(recipe) * np.float32(recipe.gain)
    if plan.defect == "saturated":
        full = (recipe.ceiling - OFFSET) / signal_scale(recipe)
        rng = generator(recipe.seed, "defect", *well, plan.site)
        signal = _only_in(plan, signal, saturate(rng, signal, plan.severity, full))
    pixels = expose(generator(recipe.seed, "camera", *well, plan.site), recipe, signal)
    return np.ascontiguousarray(pixels[[CHANNELS.index(name) for name in recipe.channels]])


def _spoil(recipe: PlateRecipe, plan: FieldPlan, signal: Planes) -> Planes:
    # A shadow over a well falls the same way at all its sites.
    site = 0 if plan.defect == "uneven light" else plan.site
    rng = generator(recipe.seed, "defect", recipe.barcode, plan.row, plan.column, site)
    return _only_in(plan, signal, DRAW[plan.defect](rng, signal, plan.severity))


def _only_in(plan: FieldPlan, before: Planes, after: Planes) -> Planes:
    suffers = np.array([name in plan.defect_channels.split("+") for name in CHANNELS])
    return np.where(suffers[:, None, None], after, before)
