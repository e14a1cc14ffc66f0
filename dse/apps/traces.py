"""Arrivals that a CSV file beside an app's own holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dse.apps.arrivals import MAX_TIMES
from dse.apps.stream import Stream
from dse.errors import InputError
from dse.files import is_file


def with_traces(given_streams: Iterable[Stream], file: Path) -> tuple[Stream, ...]:
    """The streams with the arrivals that their traces hold.

    Args:
        given_streams: as their file says.
        file: of the app; traces are named from its folder.

    Raises:
        InputError: a trace that cannot be read or is out of order.
    """
    from dse.simulation.arrivals import read_trace

    streams = []
    for stream in given_streams:
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
    return tuple(streams)


def check_begun(streams: Iterable[Stream], horizon_s: float, file: Path) -> None:
    """InputError if a recording begins after the time that is observed."""
    for stream in streams:
        if stream.arrivals is not None and stream.arrivals.times_s[0] >= horizon_s:
            raise InputError(
                f"the first arrival is at {stream.arrivals.times_s[0]:g} s, the play ends at "
                f"{horizon_s:g} s",
                file=file,
                field=f"streams.{stream.id}.arrivals",
                mend="raise horizon_s, or take arrivals that begin earlier",
            )
