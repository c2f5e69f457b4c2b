"""What all settings share: frozen, no unknown names, a mark for those that change only speed."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# Of a field that changes how fast a result is made and never what it is: no part of a fingerprint.
EXECUTION: dict[str, Any] = {"execution_only": True}
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=1)] | None


class Settings(BaseModel):
    """Settings of a room: frozen, each with a default, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
