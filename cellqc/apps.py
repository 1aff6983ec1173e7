from django.apps import AppConfig


class CellqcConfig(AppConfig):
    name = "cellqc"

    def ready(self) -> None:
        from cellqc import checks  # noqa: F401 # registers them
