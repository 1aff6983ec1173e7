"""The three roles, as groups. What each may do stands in labeling/roles.py, not in the database."""

from typing import Any

from django.db import migrations

ROLES = ("scientist", "data scientist", "admin")


def add_roles(apps: Any, schema_editor: Any) -> None:
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


def keep_roles(apps: Any, schema_editor: Any) -> None:
    """People may hold them; a group without meaning does no harm."""


class Migration(migrations.Migration):
    dependencies = [("labeling", "0001_initial"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(add_roles, keep_roles)]
