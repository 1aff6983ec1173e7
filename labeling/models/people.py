"""People and what their roles let them do."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.functional import cached_property

from labeling.models.protection import keeps_history
from labeling.roles import Action, Role, allowed


@keeps_history(exclude=("password", "last_login", "tile_size", "tile_view", "tile_contrast"))
class User(AbstractUser):
    """A person. People are deactivated, never deleted: their name stays on what they signed."""

    class Contrast(models.TextChoices):
        COMMON = "common", "Common"
        OWN = "own", "Each its own"

    # How tiles looked when this person last looked at some.
    tile_size = models.PositiveSmallIntegerField(default=144)
    tile_view = models.CharField(max_length=20, blank=True, help_text="composite or a channel's position")
    tile_contrast = models.CharField(max_length=10, choices=Contrast, default=Contrast.COMMON)

    class Meta:
        ordering = ("username",)

    def __str__(self) -> str:
        return self.printed_name

    @property
    def printed_name(self) -> str:
        """The name as it stands beside a signature."""
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        """Two letters for where a name has no room."""
        words = self.printed_name.split()
        return (words[0][0] + words[-1][0] if len(words) > 1 else self.printed_name[:2]).upper()

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles of this person; a group that is no role of ours gives none."""
        names = {group.name for group in self.groups.all()}
        return frozenset(role for role in Role if role.value in names)

    def may(self, action: Action) -> bool:
        return self.is_active and allowed(self.roles, action)
