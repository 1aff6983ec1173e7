"""Column types Django does not have."""

import struct
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models


class RealField(models.FloatField):
    """A 4-byte float. Metrics and scores need no more, and it halves 200,000 rows."""

    def db_type(self, connection: Any) -> str:
        return "real"


class ScoreField(RealField):
    """A `real` that reads back to the bit.

    psycopg reads a `real` by its shortest digits: -0.1, where the row and the run's vector hold
    -0.10000000149. Compared with a cutoff like that, an image at the very edge falls on the wrong side.
    """

    def from_db_value(self, value: float | None, expression: Any, connection: Any) -> float | None:
        return None if value is None else struct.unpack("<f", struct.pack("<f", value))[0]


class RealArrayField(ArrayField):
    """`real[]`, the values of a Measurement (Django's own array of floats is `float8[]`)."""

    def __init__(self, **options: Any) -> None:
        options.pop("base_field", None)
        super().__init__(base_field=RealField(), **options)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, arguments, options = super().deconstruct()
        options.pop("base_field")
        return name, path, arguments, options
