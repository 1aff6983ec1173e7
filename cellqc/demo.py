"""What `make run` shows: people to log in as, and a plate with known artefacts."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings

from imaging.executor import open_executor
from imaging.platemap import read_platemap
from imaging.simulate import PlateRecipe, write_plate
from labeling.management.experiment_command import TerminalProgress
from labeling.models import Experiment, Image, Job, ScoreRun, User
from labeling.roles import Role
from labeling.services.embedding import after_measuring
from labeling.services.experiments import apply_platemap, create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from labeling.services.people import add_person
from training.embedding import embed_and_place
from training.scoring import score_experiment

PEOPLE = (
    ("ada", "Ada Demo", Role.SCIENTIST),
    ("dee", "Dee Demo", Role.DATA_SCIENTIST),
    ("sam", "Sam Demo", Role.ADMIN),
)
PLATE = "Demo plate"


def demo_password() -> str:
    """The password of the demo people, made at first use and kept where only its owner can read it."""
    path = settings.VAR_DIR / "demo_password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"cells-{secrets.token_hex(4)}")
    return path.read_text()


def ensure_demo_people() -> User:
    """The three demo log-ins; returns the scientist."""
    for username, name, role in PEOPLE:
        if not User.objects.filter(username=username).exists():
            add_person(username, name=name, roles=[role], password=demo_password(), by=None)
    return User.objects.get(username="ada")


def ensure_demo_plate(*, by: User) -> Experiment:
    """The simulated plate, ingested, measured and scored; goes on where it stopped."""
    folder = settings.VAR_DIR / "demo" / "plate"
    if not _is_scored(PLATE):
        print("Simulating a 384-well plate with known artefacts (once) ...", flush=True)
        with open_executor(settings.WORKERS) as executor:
            write_plate(PlateRecipe(), folder, executor=executor, progress=TerminalProgress("fields drawn"))
    return ensure_scored(PLATE, folder, by=by)


def ensure_scored(name: str, folder: Path, *, by: User) -> Experiment:
    """The images of a folder as an experiment, measured and scored."""
    experiment = Experiment.objects.filter(name=name).first() or create_experiment(name, by=by)
    if _is_scored(name):
        return experiment
    report = ingest_source(experiment, str(folder), by=by, progress=TerminalProgress("files checked"))
    print(report.summary)
    platemap = folder / "platemap.csv"
    if platemap.is_file():
        for error in apply_platemap(experiment, read_platemap(platemap), by=by):
            print(error)
    print(measure_experiment(experiment, by=by, progress=TerminalProgress("fields measured")))
    if Job.Kind.EMBED in after_measuring():
        print(embed_and_place(experiment, by=by, progress=TerminalProgress("fields looked at")))
    run = score_experiment(experiment, by=by)
    print(f"{run.n_images:,} images scored.")
    return experiment


def _is_scored(name: str) -> bool:
    """Whether every whole image of that experiment has a score in the newest run."""
    experiment = Experiment.objects.filter(name=name).first()
    run = ScoreRun.objects.defer("vector").latest_of(experiment) if experiment else None
    return run is not None and run.n_images == experiment.images.filter(state=Image.State.READY).count()
