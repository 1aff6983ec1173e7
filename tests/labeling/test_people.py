"""Log-ins belong to one person for ever, with a name that is printed beside signatures."""

from __future__ import annotations

import io

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from labeling.models import AuditEvent, User
from labeling.problems import BadValue
from labeling.roles import Action, Role
from labeling.services.people import acting_person, add_person

PASSWORD = "dishes of agar 96"


def add(username="ada", name="Ada Lovelace", roles=(Role.SCIENTIST,), password=PASSWORD, by=None, email=""):
    return add_person(username, name=name, roles=roles, password=password, by=by, email=email)


def test_a_person_can_log_in_and_do_their_work(db):
    ada = add()
    assert authenticate(username="ada", password=PASSWORD) == ada
    assert ada.printed_name == "Ada Lovelace"
    assert ada.may(Action.SIGN)
    assert not ada.may(Action.READ_AUDIT)


def test_adding_a_person_is_in_the_audit_without_the_password(admin):
    ada = add(by=admin)
    event = AuditEvent.objects.get(action="person.added")
    assert (event.actor, event.object_type, event.object_id) == (admin, "user", ada.pk)
    assert event.new == {"roles": ["scientist"]}
    assert PASSWORD not in str(vars(event))


def test_a_name_of_one_word_or_many_is_printed_whole(db):
    assert add("plato", "Plato").printed_name == "Plato"
    assert add("gabo", "Gabriel García Márquez").printed_name == "Gabriel García Márquez"


def test_without_a_name_the_log_in_is_printed(db):
    assert User(username="ada").printed_name == "ada"


@pytest.mark.parametrize("username", ["grace", "GRACE"])
def test_a_log_in_is_never_given_to_somebody_else(scientist, username):
    scientist.is_active = False
    scientist.save()
    with pytest.raises(BadValue, match="is or was somebody's; choose another"):
        add(username)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "  "}, "Give the person's name"),
        ({"password": "short"}, "too short"),
        ({"password": "password"}, "too common"),
        ({"password": "123456789012"}, "numeric"),
        ({"password": "lovelace"}, "too similar"),
        ({"username": "ada lovelace"}, "Enter a valid username"),
        ({"username": ""}, "cannot be blank"),
        ({"email": "nowhere"}, "valid email"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(db, given, sentence):
    with pytest.raises(BadValue, match=sentence):
        add(**given)
    assert not User.objects.exists()


def test_the_command_line_acts_when_nobody_is_named(db):
    actor = acting_person()
    assert actor == acting_person()
    assert (actor.printed_name, actor.has_usable_password()) == ("Command line", False)
    assert not any(actor.may(action) for action in Action)


def test_a_named_person_acts(scientist):
    assert acting_person("grace") == scientist


def test_an_unknown_or_deactivated_person_does_not_act(scientist):
    with pytest.raises(BadValue, match="There is no active person with the log-in 'ghost'"):
        acting_person("ghost")
    scientist.is_active = False
    scientist.save()
    with pytest.raises(BadValue, match="'grace'"):
        acting_person("grace")


def test_who_acted_cannot_be_deleted(experiment, scientist):
    from django.db.models import ProtectedError

    with pytest.raises(ProtectedError):
        scientist.delete()


# --- the command ----------------------------------------------------------------------------------------


def command(monkeypatch, password, *arguments):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    call_command("add_person", *arguments)


def test_the_command_adds_a_person_with_roles(db, monkeypatch, capsys):
    roles = ("--role", "scientist", "--role", "admin")
    command(monkeypatch, PASSWORD, "ada", "--name", "Ada Lovelace", *roles)
    assert capsys.readouterr().out == "Ada Lovelace can log in as ada.\n"
    ada = User.objects.get(username="ada")
    assert ada.roles == {Role.SCIENTIST, Role.ADMIN}
    assert ada.check_password(PASSWORD)
    assert AuditEvent.objects.get().actor_name == "cellqc"


def test_the_command_tells_a_problem(db, monkeypatch):
    with pytest.raises(CommandError, match="too short"):
        command(monkeypatch, "x", "ada", "--name", "Ada", "--role", "scientist")
