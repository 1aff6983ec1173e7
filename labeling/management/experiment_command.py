"""What the commands about one experiment share: its name, who acts, waiting or queueing, progress."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from labeling.models import Experiment, User
from labeling.problems import Problem
from labeling.services.jobs import start_job
from labeling.services.people import acting_person

Progress = Callable[[int, int], None]


class ExperimentCommand(BaseCommand):
    """A command that works here with --wait and queues a job for the worker without."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("experiment", help="name of the experiment")
        parser.add_argument("--wait", action="store_true", help="work in this process instead of queueing a job")
        parser.add_argument("--by", metavar="LOGIN", help="the person on whose behalf; the audit names them")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.act(**options | {"by": acting_person(options["by"])})
        except Problem as problem:
            raise CommandError(str(problem), returncode=2) from problem

    def act(self, *, by: User, **options: Any) -> None:
        raise NotImplementedError

    def find(self, name: str) -> Experiment:
        try:
            return Experiment.objects.get(name=name)
        except Experiment.DoesNotExist:
            raise CommandError(f"There is no experiment called {name!r}.", returncode=2) from None

    def queue(self, kind: str, experiment: Experiment, *, by: User, **parameters: Any) -> None:
        job = start_job(kind, experiment, by=by, parameters=parameters)
        self.stdout.write(f"Queued as job {job.pk}; the worker does it. Use --wait to do it here.")


class TerminalProgress:
    """A bar in the terminal that follows (done, total) reports."""

    def __init__(self, what: str) -> None:
        self.bar = tqdm(desc=what, unit="", disable=None)  # None: no bar where nobody looks, as in a log

    def __call__(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.close()
