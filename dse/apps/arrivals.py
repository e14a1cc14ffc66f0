"""Recorded arrivals of a stream: times in the app's file, or in a CSV file beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from dse.errors import InputError
from dse.files import is_file
from dse.ranges import Moment
from dse.schema import Strict

if TYPE_CHECKING:
    from dse.apps.scenario import App

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


def with_traces(app: App, file: Path) -> App:
    """The app with the arrivals that its traces hold.

    Args:
        app: as its file says.
        file: of the app; traces are named from its folder.

    Raises:
        InputError: a trace that cannot be read or is out of order, or no arrival in the horizon.
    """
    from dse.simulation.arrivals import read_trace

    streams = []
    for stream in app.streams:
        given = stream.arrivals
        field = f"streams.{stream.id}.arrivals"
        if given is not None and given.trace is not None:
            if given.times_s:
                raise InputError(
                    "arrivals have both a trace and times_s",
                    file=file,
                    field=field,
                    mend="give one of them",
                )
            path = file.parent / given.trace
            if not is_file(path):
                raise InputError(
                    f"there is no trace file {given.trace!r}",
                    file=file,
                    field=f"{field}.trace",
                    mend="name a CSV file relative to the folder of the app's file",
                )
            times = read_trace(path, ordered=True).times_s
            if len(times) > MAX_TIMES:
                raise InputError(
                    f"{len(times):,} arrivals, more than {MAX_TIMES:,}",
                    file=path,
                    mend="cut the trace to the time that is to be played",
                )
            given = given.model_copy(update={"times_s": times})
            stream = stream.model_copy(update={"arrivals": given})
        streams.append(stream)
    out = app.model_copy(update={"streams": tuple(streams)})
    horizon_s = out.observed_s
    for stream in out.streams:
        if stream.arrivals is not None and stream.arrivals.times_s[0] >= horizon_s:
            raise InputError(
                f"the first arrival is at {stream.arrivals.times_s[0]:g} s, the play ends at "
                f"{horizon_s:g} s",
                file=file,
                field=f"streams.{stream.id}.arrivals",
                mend="raise horizon_s, or take arrivals that begin earlier",
            )
    return out
