"""`manage.py embed EXPERIMENT`: what an image network sees in the images it has not seen yet."""

from typing import Any

from labeling.management.experiment_command import ExperimentCommand, TerminalProgress
from labeling.models import Job, User
from training.embedding import embed_and_place


class Command(ExperimentCommand):
    help = "Let the image network look at all measured images it has not seen: embeddings."

    def act(self, *, by: User, **options: Any) -> None:
        experiment = self.find(options["experiment"])
        if not options["wait"]:
            self.queue(Job.Kind.EMBED, experiment, by=by)
            return
        self.stdout.write(embed_and_place(experiment, by=by, progress=TerminalProgress("fields")))
