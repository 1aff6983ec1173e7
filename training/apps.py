from django.apps import AppConfig
from django.core.checks import register


class TrainingConfig(AppConfig):
    name = "training"

    def ready(self) -> None:
        from training.checks import check_classifier_setting

        register(check_classifier_setting)
