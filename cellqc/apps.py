from django.apps import AppConfig


class CellqcConfig(AppConfig):
    name = "cellqc"
