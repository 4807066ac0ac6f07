"""What every part of a settings file has in common: no unknown keys, no value of another type, and faults in words."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fitcore.naming import did_you_mean

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Positive = Annotated[int, Field(ge=1)]


def one_of(value: str, allowed: list[str], what: str) -> str:
    """The value, where it is allowed; ValueError with the nearest one otherwise."""
    if value in allowed:
        return value
    hint = did_you_mean(value, allowed)
    listed = f"; there are: {', '.join(allowed)}" if len(allowed) < 30 else ""
    raise ValueError(f"{value!r} is no {what}{listed}.{hint}")


class Strict(BaseModel):
    """A part of the file: no other keys, and no value taken for one of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            one_of(str(key), list(cls.model_fields), "key here")
        return value
