"""`manage.py add_person LOGIN --name "Ada Lovelace" --role scientist`: a log-in with its roles."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.problems import Problem
from labeling.roles import Role
from labeling.services.people import add_person


class Command(BaseCommand):
    help = "Add a person with their roles. The password is asked for, or read from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("login")
        parser.add_argument("--name", required=True, help="the name printed beside signatures")
        parser.add_argument("--email", default="")
        parser.add_argument("--role", action="append", required=True, choices=[role.value for role in Role])

    def handle(self, *args: Any, **options: Any) -> None:
        password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            person = add_person(
                options["login"],
                name=options["name"],
                email=options["email"],
                roles=[Role(name) for name in options["role"]],
                password=password,
                by=None,
            )
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"{person.printed_name} can log in as {person.username}.")
