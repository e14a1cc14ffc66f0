"""Recorded arrivals of a stream: times in the app's file, or in a CSV file beside it."""

from __future__ import annotations

from pydantic import Field, model_validator

from dse.ranges import Moment
from dse.schema import Strict

#: Most arrivals that one stream may bring.
MAX_TIMES = 100_000


class Arrivals(Strict):
    """When jobs arrive, as recorded: ``trace``, a CSV file, or ``times_s`` themselves.

    ``trace`` names a file beside the app's, with a column ``time_s`` (or only numbers) of ascending
    seconds from the start; what it holds is in ``times_s`` once the app has been loaded. An app
    without ``horizon_s`` is observed for the whole recording; what one cuts off is said in a note.
    """

    trace: str | None = None
    times_s: tuple[Moment, ...] = Field(default=(), max_length=MAX_TIMES)

    @model_validator(mode="after")
    def _something(self) -> Arrivals:
        if self.trace is None and not self.times_s:
            raise ValueError("arrivals hold nothing; give trace, a CSV file, or times_s")
        times = self.times_s
        for place, (before, after) in enumerate(zip((0.0, *times), times, strict=False)):
            if after < before:
                raise ValueError(
                    f"times_s[{place}] is {after:g} s, "
                    + ("before 0; " if place == 0 else f"before the {before:g} s in front of it; ")
                    + "write ascending seconds from the start of the play"
                )
        return self
