"""Chunks worked on in the test's own process; what processes do with them is tested with the executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def in_this_process(work: Callable, items: Iterable, *, chunk_size: int, **_options: Any) -> Iterator[list]:
    """Takes the place of `run_in_chunks`."""
    waiting = list(items)
    yield from (work(waiting[n : n + chunk_size]) for n in range(0, len(waiting), chunk_size))
