"""`manage.py score EXPERIMENT`: a new isolation-forest run."""

from argparse import ArgumentParser
from typing import Any

from labeling.management.experiment_command import ExperimentCommand
from labeling.models import Job, User
from training.scoring import DEFAULT_SEED, Scaling, score_experiment


class Command(ExperimentCommand):
    help = "Score all measured images with an isolation forest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--scaling",
            default=Scaling.PLATE.value,
            choices=[scaling.value for scaling in Scaling],
            help="what an image is compared with: its plate, its plate's controls, or the experiment",
        )
        parser.add_argument("--without-embeddings", action="store_true", help="leave out what the image network saw")
        parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="the same seed gives the same scores")

    def act(self, *, by: User, **options: Any) -> None:
        experiment = self.find(options["experiment"])
        asked = {"seed": options["seed"], "scaling": options["scaling"]}
        if options["without_embeddings"]:
            asked["embeddings"] = False
        if not options["wait"]:
            self.queue(Job.Kind.SCORE, experiment, by=by, **asked)
            return
        run = score_experiment(experiment, by=by, **asked)
        self.stdout.write(f"{run.n_images:,} images scored as run {run.pk} (seed {run.seed}).")
