"""`manage.py measure EXPERIMENT`: metrics, thumbnails and hashes of what is not yet measured."""

from typing import Any

from labeling.management.experiment_command import ExperimentCommand, TerminalProgress
from labeling.models import Job, User
from labeling.services.measuring import measure_experiment


class Command(ExperimentCommand):
    help = "Measure what is not yet measured: metrics, thumbnails, hashes."

    def act(self, *, by: User, **options: Any) -> None:
        experiment = self.find(options["experiment"])
        if not options["wait"]:
            self.queue(Job.Kind.MEASURE, experiment, by=by)
            return
        self.stdout.write(measure_experiment(experiment, by=by, progress=TerminalProgress("fields")))
        for image in experiment.images.broken().with_place():
            self.stdout.write(f"  {image}: {image.problem}")
