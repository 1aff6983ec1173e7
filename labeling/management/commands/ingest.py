"""`manage.py ingest EXPERIMENT SOURCE`: take a folder of images into an experiment."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from imaging.layouts import Z_RULES
from imaging.platemap import read_platemap
from labeling.management.experiment_command import ExperimentCommand, TerminalProgress
from labeling.models import Experiment, Job, User
from labeling.services.experiments import apply_platemap, create_experiment
from labeling.services.ingest import IngestReport, ingest_as
from labeling.services.sources import DEFAULT_Z, check_takeable

SHOWN = 50  # lines of each list; the page shows all


class Command(ExperimentCommand):
    help = "Take a folder (or URI) of images into an experiment, which is made if it is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("source", help="folder or fsspec URI")
        parser.add_argument("--layout", help="name of a layout or a regular expression; guessed when not named")
        parser.add_argument("--plate", metavar="BARCODE", help="for layouts whose names do not tell the plate")
        parser.add_argument(
            "--z",
            metavar="RULE",
            help=f"which z plane of a stack: {', '.join(Z_RULES)}, or the number of one; else {DEFAULT_Z}",
        )
        parser.add_argument("--platemap", metavar="CSV", help="roles, control classes and treatments of wells")

    def act(self, *, by: User, **options: Any) -> None:
        name, source = options["experiment"], _absolute(options["source"])
        given = {key: options[key] for key in ("layout", "plate", "z") if options[key]}
        if not options["wait"]:
            if options["platemap"]:
                raise CommandError("A plate map needs the wells to be there: add --wait.", returncode=2)
            check_takeable(source, **given)
            experiment = Experiment.objects.filter(name=name).first() or create_experiment(name, by=by)
            self.queue(Job.Kind.INGEST, experiment, by=by, source=source, **given)
            return
        experiment, report = ingest_as(name, source, by=by, progress=TerminalProgress("files"), **given)
        errors = self._platemap(experiment, options["platemap"], by=by)
        self._tell(report, errors)
        if report.refused or report.missing or report.incomplete or errors:
            sys.exit(1)

    def _platemap(self, experiment: Experiment, path: str | None, *, by: User) -> list[str]:
        if not path:
            return []
        return apply_platemap(experiment, read_platemap(path), by=by)

    def _tell(self, report: IngestReport, platemap_errors: list[str]) -> None:
        self.stdout.write(f"{report.explanation}\n{report.summary}")
        self._list("Refused", [f"{uri}: {reason}" for uri, reason in report.refused])
        self._list("Missing", [f"{uri}: {reason}" for uri, reason in report.missing])
        self._list("Incomplete", [f"{name}: {problem}" for name, problem in report.incomplete])
        self._list("Plate map", platemap_errors)

    def _list(self, title: str, lines: list[str]) -> None:
        if not lines:
            return
        self.stdout.write(f"{title}:")
        for line in lines[:SHOWN]:
            self.stdout.write(f"  {line}")
        if len(lines) > SHOWN:
            self.stdout.write(f"  ... and {len(lines) - SHOWN:,} more")


def _absolute(source: str) -> str:
    """A job may run elsewhere than where the command was typed."""
    return source if "://" in source else str(Path(source).absolute())
