"""Django's PostgreSQL backend for the embedded server: whoever connects first starts it."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.db.backends.postgresql import base
from django.db.backends.postgresql.client import DatabaseClient as PostgresClient

from cellqc.embedded_postgres import EmbeddedPostgresError, client_program


class DatabaseClient(PostgresClient):
    """`manage.py dbshell` with the psql of the wheel."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        arguments, environment = super().settings_to_cmd_args_env(settings_dict, parameters)
        return [str(client_program("psql")), *arguments[1:]], environment

    def runshell(self, parameters: Iterable[str]) -> None:
        self.connection.ensure_server()
        super().runshell(parameters)


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def ensure_server(self) -> None:
        embedded = self.settings_dict.get("EMBEDDED")
        if embedded is None:
            raise ImproperlyConfigured(
                "cellqc.embedded_backend needs what cellqc.embedded_postgres.connection_settings() returns."
            )
        try:
            embedded.ensure_running()
        except EmbeddedPostgresError as error:
            raise OperationalError(str(error)) from error

    def get_connection_params(self) -> dict[str, Any]:
        """Not in get_new_connection: procrastinate's worker asks for these and connects by itself."""
        self.ensure_server()
        return super().get_connection_params()
