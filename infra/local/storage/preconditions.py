"""Preconditions of a request: https://cloud.google.com/storage/docs/request-preconditions."""

from dataclasses import dataclass

from infra.local.storage.errors import ConditionNotMet, NotModified
from infra.local.storage.records import ObjectRecord


@dataclass(frozen=True)
class Preconditions:
    """The generations that a request depends on; a generation of 0 requires that the object does not exist."""

    generation_match: int | None = None
    generation_not_match: int | None = None
    metageneration_match: int | None = None
    metageneration_not_match: int | None = None

    def check(self, found: ObjectRecord | None, *, reading: bool = False) -> None:
        """Raise ConditionNotMet unless all preconditions hold; for a read of an excluded generation, NotModified."""
        generation = found.generation if found else 0
        metageneration = found.metageneration if found else 0
        if self.generation_match not in (None, generation) or self.metageneration_match not in (None, metageneration):
            raise ConditionNotMet("At least one of the pre-conditions you specified did not hold.")
        if generation == self.generation_not_match or metageneration == self.metageneration_not_match:
            raise (NotModified if reading else ConditionNotMet)("The object is at the generation to be excluded.")


NO_PRECONDITIONS = Preconditions()
