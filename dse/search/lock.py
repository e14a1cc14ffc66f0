"""One run at a time in a study's folder: a lock file that says who holds it and is kept alive.

The file is made by exclusive creation and removed at the end. A run that was killed leaves it: on
the same machine the process is looked for, on another one the lock is stale once it has missed
:data:`MISSED` heartbeats. A heartbeat is the file's time of change, set from the holder's clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dse.errors import InputError, RunError

LOCK = "study.lock"
#: Seconds from one heartbeat to the next.
BEAT_S = 10.0
#: Heartbeats that may be missed in a row before a lock is stale.
MISSED = 10


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes:
        host: name of the machine.
        process: its number there.
        started: of the run, in UTC.
        token: of this run alone, whatever numbers processes get again.
        space: where process numbers mean the same (boot and namespace); empty if not known.
        born: when the process began, as the system counts; tells a reused number apart.
    """

    host: str
    process: int
    started: str
    token: str
    space: str = ""
    born: str = ""


class StudyLock:
    """The lock of a folder.

    Args:
        folder: of the study; it exists.
        clock: seconds since 1970.
        beating: keep the lock alive from a thread; else :meth:`beat` is called by hand.
    """

    def __init__(
        self, folder: Path, *, clock: Callable[[], float] = time.time, beating: bool = True
    ) -> None:
        self.path = folder / LOCK
        self._clock, self._beating = clock, beating
        self._own: Holder | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self.lost = False

    def acquire(self, *, break_lock: bool = False) -> None:
        """Take the lock.

        Args:
            break_lock: take it from whoever holds it; that run ends when it notices.

        Raises:
            InputError: another run holds it, or the folder cannot be written.
        """
        own = _self(self._clock())
        for _ in range(3):  # somebody may come between reading and taking over
            if self._create(own):
                self._own = own
                self._start()
                return
            text = self._text()
            if text is None:
                continue  # given back meanwhile
            holder = _holder(text)
            if not break_lock and not self._stale(holder):
                raise self._held(holder)
            self._remove(text)
        raise self._held(_holder(self._text() or ""))

    def beat(self) -> bool:
        """Say that the run is alive; False once another run has taken the lock."""
        if self._own is None:
            return False
        text = self._text()
        holder = None if text is None else _holder(text)
        if holder is None or holder.token != self._own.token:
            self.lost = True
            return False
        with contextlib.suppress(OSError):
            now = self._clock()
            os.utime(self.path, (now, now))
        return True

    def check(self) -> None:
        """Go on only while the lock is ours.

        Raises:
            RunError: another run has taken it.
        """
        if self.lost:
            raise RunError(
                "another run has taken over this folder (--break-lock)",
                file=self.path.parent,
                mend="what was evaluated is in the log; run one of them again, not both",
            )

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._own is not None and self.beat():
            with contextlib.suppress(OSError):
                self.path.unlink()
        self._own = None

    def _create(self, own: Holder) -> bool:
        """Make the file with all it says; False if there is one."""
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        except OSError as error:
            raise InputError(
                f"the folder cannot be written ({error.strerror})",
                file=self.path.parent,
                mend="choose another --out folder",
            ) from None
        with contextlib.suppress(OSError), os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(own)))
        with contextlib.suppress(OSError):
            now = self._clock()
            os.utime(self.path, (now, now))
        return True

    def _text(self) -> str | None:
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def _age_s(self) -> float:
        try:
            return max(0.0, self._clock() - self.path.stat().st_mtime)
        except OSError:
            return 0.0

    def _stale(self, holder: Holder | None) -> bool:
        here = _self(0.0)
        if holder is not None and holder.host == here.host and holder.space == here.space != "":
            born = _born(holder.process)
            return born is None or born != holder.born
        return self._age_s() > MISSED * BEAT_S

    def _remove(self, seen: str) -> None:
        """Take a lock away, if it is still the one that was seen."""
        aside = self.path.with_name(f"{LOCK}.{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            self.path.rename(aside)
            if aside.read_text(encoding="utf-8", errors="replace") != seen:
                os.link(aside, self.path)  # of a run that was quicker: put it back
            aside.unlink()

    def _held(self, holder: Holder | None) -> InputError:
        who = "a process that the lock does not name"
        if holder is not None:
            who = f"process {holder.process} on {holder.host} since {holder.started}"
        return InputError(
            f"another run holds this folder: {who}, last heard of {self._age_s():.0f} s ago",
            file=self.path.parent,
            mend="wait for it or give another --out folder; if it is dead, add --break-lock "
            f"(on another machine it counts as dead after {MISSED * BEAT_S:.0f} s of silence)",
        )

    def _start(self) -> None:
        if not self._beating:
            return
        self._thread = threading.Thread(target=self._keep, name="study lock", daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._end.wait(BEAT_S):
            if not self.beat():
                return


def _self(now: float) -> Holder:
    process = os.getpid()
    return Holder(
        socket.gethostname(),
        process,
        datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        uuid.uuid4().hex,
        _space(),
        _born(process) or "",
    )


def _holder(text: str) -> Holder | None:
    """Who a lock file names; None if it does not say (cut short when it was written)."""
    try:
        content = json.loads(text)
        found = Holder(**content)
        return found if isinstance(found.process, int) else None
    except (ValueError, TypeError):
        return None


def _space() -> str:
    """What tells apart machines and containers of one name; empty where the system hides it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _born(process: int) -> str | None:
    """When a process of this machine began, in ticks since the boot; None if there is none."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]
