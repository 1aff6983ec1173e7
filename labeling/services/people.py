"""People who act: those with a log-in, and the command line when nobody is named."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from labeling.models import User
from labeling.problems import BadValue
from labeling.roles import Role
from labeling.services import audit

COMMAND_LINE = "command-line"


@transaction.atomic
def add_person(
    username: str, *, name: str, roles: Sequence[Role], password: str, by: User | None, email: str = ""
) -> User:
    """A new log-in. `name` is printed beside signatures. A log-in is never used again for someone else.

    Raises BadValue for a taken log-in, an empty name or a weak password.
    """
    first_name, _, last_name = name.strip().partition(" ")
    if not first_name:
        raise BadValue("Give the person's name; it is printed beside their signatures.")
    if User.objects.filter(username__iexact=username).exists():
        raise BadValue(f"The log-in {username!r} is or was somebody's; choose another.")
    user = User(username=username, first_name=first_name, last_name=last_name, email=email)
    try:
        validate_password(password, user)
        user.full_clean(exclude=["password"])
    except ValidationError as problem:
        raise BadValue(" ".join(problem.messages)) from problem
    user.set_password(password)
    user.save()
    user.groups.set(Group.objects.filter(name__in=[role.value for role in roles]))
    audit.record("person.added", user, by=by, new={"roles": [role.value for role in roles]})
    return user


def acting_person(username: str | None = None) -> User:
    """The person a command acts for. Without a name a system actor, who cannot log in, sign or label.

    Raises BadValue for an unknown or deactivated person.
    """
    if username:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise BadValue(f"There is no active person with the log-in {username!r}.")
        return user
    user, made = User.objects.get_or_create(
        username=COMMAND_LINE, defaults={"first_name": "Command", "last_name": "line"}
    )
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user
