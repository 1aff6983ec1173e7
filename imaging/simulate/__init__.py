"""A simulated plate with known truth: plausible cells, real phenotypes, and every kind of bad field.

Made by this project for the demo, the tests and the benchmarks. Everything follows from the recipe: any field
can be made alone, in any order, on any number of processes, with the same pixels.
"""

from imaging.simulate.plan import DEFECTS, WHOLE_WELL_DEFECTS, FieldPlan, PlateRecipe, plan_plate
from imaging.simulate.population import PHENOTYPES
from imaging.simulate.render import render_field
from imaging.simulate.write import field_files, write_plate

__all__ = [
    "DEFECTS",
    "PHENOTYPES",
    "WHOLE_WELL_DEFECTS",
    "FieldPlan",
    "PlateRecipe",
    "field_files",
    "plan_plate",
    "render_field",
    "write_plate",
]
