"""The one table of permissions, and who gets a role."""

import pytest
from django.contrib.auth.models import Group

from labeling.models import User
from labeling.roles import PERMISSIONS, Action, Role, allowed

S, D, A = Role.SCIENTIST, Role.DATA_SCIENTIST, Role.ADMIN
# Written out a second time on purpose: a change of the table is a decision.
MATRIX = {
    Action.LOOK: {S, D, A},
    Action.INGEST: {S, A},
    Action.SCORE: {S, D, A},
    Action.LABEL: {S},
    Action.SET_CUTOFF: {S},
    Action.RETRAIN: {S, D},
    Action.PROMOTE: {S},
    Action.DRAFT: {S},
    Action.SIGN: {S},
    Action.WITHDRAW: {S, A},
    Action.EXPORT: {S, D, A},
    Action.READ_AUDIT: {A},
}


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("role", Role)
def test_role_carries_exactly_these_permissions(action, role):
    assert allowed([role], action) == (role in MATRIX[action])


def test_every_action_stands_in_the_table():
    assert set(PERMISSIONS) == set(Action) == set(MATRIX)


@pytest.mark.parametrize("action", Action)
def test_nobody_may_anything_without_a_role(action):
    assert not allowed([], action)


def test_who_audits_does_not_sign():
    assert not PERMISSIONS[Action.READ_AUDIT] & PERMISSIONS[Action.SIGN]


@pytest.mark.parametrize("action", Action)
def test_the_cast_may_what_their_role_says(scientist, data_scientist, admin, outsider, action):
    people = {scientist: {S}, data_scientist: {D}, admin: {A}, outsider: set()}
    for person, roles in people.items():
        assert person.may(action) == bool(roles & MATRIX[action])


def test_two_roles_add_up(scientist):
    scientist.groups.add(Group.objects.get(name="admin"))
    both = User.objects.get(pk=scientist.pk)
    assert both.roles == {S, A}
    assert both.may(Action.SIGN)
    assert both.may(Action.READ_AUDIT)


def test_a_group_that_is_no_role_gives_none(outsider):
    outsider.groups.add(Group.objects.create(name="microscope room"))
    assert User.objects.get(pk=outsider.pk).roles == frozenset()


def test_a_deactivated_person_may_nothing(scientist):
    scientist.is_active = False
    assert not any(scientist.may(action) for action in Action)


def test_being_a_superuser_of_django_is_no_role(db):
    root = User.objects.create_superuser("root", "root@lab.example", "x")
    assert not any(root.may(action) for action in Action)


def test_the_roles_are_there_from_the_start(db):
    assert set(Group.objects.values_list("name", flat=True)) >= {role.value for role in Role}
