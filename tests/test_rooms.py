"""Which room may import which. The walls are read from the source, so that an import inside a function counts too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each room and the rooms it may use, itself included.
ROOMS = {
    "imaging": {"imaging"},
    "labeling": {"labeling", "imaging"},
    "training": {"training", "labeling", "imaging"},
    "cellqc": {"cellqc", "training", "labeling", "imaging"},
}
PURE = ("imaging", "training/learners")
WEB_AND_DATABASE = {"django", "rest_framework", "procrastinate", "psycopg", "pgtrigger", "pghistory", "csp"}


def sources(folder: str) -> list[Path]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"there is no source in {folder}"
    return files


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules a file imports; relative ones are resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join([*above, *([node.module] if node.module else [])])


def trespasses(folder: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imported(path)
        if name.partition(".")[0] in forbidden
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_the_rooms_below(room):
    others = {"imaging", "labeling", "training", "cellqc", "tests", "benchmarks"} - ROOMS[room]
    assert trespasses(room, others) == []


@pytest.mark.parametrize("folder", PURE)
def test_science_knows_no_web_and_no_database(folder):
    assert trespasses(folder, WEB_AND_DATABASE) == []


def test_learners_know_numbers_only():
    """What learns needs neither records nor pixels: only what a metric is called, and the robust scale rules share."""
    of_imaging = trespasses("training/learners", {"labeling", "cellqc", "imaging"})
    assert sorted(of_imaging) == [
        "training/learners/phenomena.py imports imaging.metrics",
        "training/learners/reasons.py imports imaging.metrics",
        "training/learners/reasons.py imports imaging.metrics.foreign",
        "training/learners/scaling.py imports imaging.robust",
    ]
    others = [name for path in sources("training/learners") for name in imported(path) if name.startswith("training.")]
    assert [name for name in others if not name.startswith("training.learners")] == []


def test_views_and_the_api_do_not_call_each_other():
    """A rule both need stands in a service."""
    assert not [name for path in sources("labeling/api") for name in imported(path) if "labeling.views" in name]
    assert not [name for path in sources("labeling/views") for name in imported(path) if "labeling.api" in name]


def test_services_speak_no_http():
    speakers = (
        "django.http",
        "django.shortcuts",
        "django.contrib.messages",
        "rest_framework",
        "labeling.views",
        "labeling.api",
    )
    assert not [
        f"{path.name}: {name}"
        for path in sources("labeling/services")
        for name in imported(path)
        if name.startswith(speakers)
    ]


def test_nothing_listens_to_signals():
    """We write calls: who follows a line of code sees what happens."""
    assert not [
        f"{path.relative_to(ROOT)} imports {name}"
        for room in ROOMS
        for path in sources(room)
        for name in imported(path)
        if name.startswith(("django.dispatch", "django.db.models.signals"))
    ]


def test_the_reader_of_imports_sees_them_all(tmp_path, monkeypatch):
    room = tmp_path / "imaging" / "metrics"
    room.mkdir(parents=True)
    (room / "bad.py").write_text(
        "import django.db as db\nfrom ..reading import x\nfrom . import y\n\n"
        "def late():\n    from labeling import models\n"
    )
    monkeypatch.setattr("tests.test_rooms.ROOT", tmp_path)
    assert list(imported(room / "bad.py")) == ["django.db", "imaging.reading", "imaging.metrics", "labeling"]
    assert len(trespasses("imaging", {"django", "labeling"})) == 2
