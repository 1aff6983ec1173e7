"""`manage.py retrain EXPERIMENT`: a new model version from all labels, and blended scores of all images."""

from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from labeling.management.experiment_command import ExperimentCommand
from labeling.models import Job, User
from training.learners.classifiers import CLASSIFIERS
from training.retraining import retrain
from training.scoring import DEFAULT_SEED


class Command(ExperimentCommand):
    help = "Train a candidate model on all labels of an experiment and score every image with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="same labels and seed, same scores")
        parser.add_argument(
            "--earlier",
            action=BooleanOptionalAction,
            default=None,
            help="learn from labels of earlier experiments with the same channels, too, counted less",
        )
        parser.add_argument("--classifier", choices=list(CLASSIFIERS), help="what learns; the setting's without")

    def act(self, *, by: User, **options: Any) -> None:
        experiment = self.find(options["experiment"])
        asked = {name: options[name] for name in ("seed", "classifier", "earlier") if options[name] is not None}
        if not options["wait"]:
            self.queue(Job.Kind.RETRAIN, experiment, by=by, **asked)
            return
        model = retrain(experiment, by=by, **asked)
        self.stdout.write(f"Model {model.number} has learnt from {model.n_labels:,} labels (seed {options['seed']}).")
