"""How the checking process weighs the real servers of a service, as a plain frozen value. Times are in seconds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: "agent": the load an agent on each real server tells; "response": how long checks are answered; "external": weights
#: that are set from outside for a time
WeightingKind = Literal["agent", "response", "external"]


class Weighting(BaseModel):
    """What the weights of a service follow, and how often they are looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: WeightingKind
    interval: int = Field(ge=1, description="seconds between two polls of an agent, or between two comparisons")
    url: str = Field("", description="where an agent tells its load")
    port: int = Field(0, ge=0, le=65535, description="port of the agent")
    timeout: int = Field(4, ge=1, description="seconds one poll may take in all")
    least_load: int = Field(0, ge=0, le=50, description="percent; while every load is below it the static weights hold")
