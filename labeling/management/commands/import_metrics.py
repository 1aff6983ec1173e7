"""`manage.py import_metrics EXPERIMENT TABLE`: metrics that were computed elsewhere."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from imaging.platemap import read_platemap
from labeling.management.experiment_command import ExperimentCommand, TerminalProgress
from labeling.models import Experiment, User
from labeling.problems import Problem
from labeling.services.experiments import apply_platemap, create_experiment
from labeling.services.import_metrics import ImportReport, import_metrics, queue_import
from labeling.services.ingest import check_source

SHOWN = 50  # lines of a list; the page shows more


class Command(ExperimentCommand):
    help = "Take metrics from tables (CellProfiler's Image.csv, CSV, Parquet) into an experiment, made if it is new."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("tables", metavar="TABLE", nargs="+", help="path or fsspec URI of a CSV or Parquet file")
        parser.add_argument("--plate", metavar="BARCODE", help="of all rows, for tables that do not tell the plate")
        parser.add_argument("--images", metavar="FOLDER", help="where to look for the files that the table names")
        parser.add_argument("--platemap", metavar="CSV", help="roles, control classes and treatments of wells")

    def act(self, *, by: User, **options: Any) -> None:
        if options["platemap"] and not options["wait"]:
            raise CommandError("A plate map needs the wells to be there: add --wait.", returncode=2)
        tables = [_absolute(table) for table in options["tables"]]
        for table in tables:
            check_source(table)
        name = options["experiment"]
        experiment = Experiment.objects.filter(name=name).first() or create_experiment(name, by=by)
        given = {"plate": options["plate"], "images": options["images"] and _absolute(options["images"])}
        if not options["wait"]:
            for table in tables:
                job = queue_import(experiment, by=by, table=table, **given)
                self.stdout.write(f"Queued as job {job.pk}; the worker does it. Use --wait to do it here.")
            return
        reports = [self._import(experiment, table, by=by, **given) for table in tables]
        if not any(reports):
            sys.exit(2)
        errors = self._platemap(experiment, options["platemap"], reports, by=by)
        if errors or any(report is None or report.n_problems for report in reports):
            sys.exit(1)

    def _import(self, experiment: Experiment, table: str, *, by: User, **given: Any) -> ImportReport | None:
        """What came of one table; None, with the reason told, when nothing did. The others are taken all the same."""
        try:
            report = import_metrics(experiment, table, by=by, progress=TerminalProgress("fields"), **given)
        except Problem as problem:
            self.stderr.write(str(problem))
            return None
        self.stdout.write(report.summary)
        self._list("Not taken", [f"{where}: {reason}" for where, reason in report.problems])
        return report

    def _platemap(
        self, experiment: Experiment, path: str | None, reports: list[ImportReport | None], *, by: User
    ) -> list[str]:
        """Apply the map to the plates of these tables; rows that name a plate go there."""
        if not path:
            return []
        plates = {plate for report in reports if report for plate in report.plates}
        errors = apply_platemap(experiment, read_platemap(path), by=by, only=plates)
        self._list("Plate map", errors)
        return errors

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
