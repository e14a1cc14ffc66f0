"""Work in a process of its own with limits of time and memory, where there is ``fork``."""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any

#: Processor time in seconds, and bytes above what the process has at its start.
SECONDS, MEMORY = 10, 1 << 30
#: Seconds by the clock until a child counts as hung; far more than the processor time, so that a
#: busy machine fails nothing.
PATIENCE = 600


def in_child(work: Callable[[], Any]) -> tuple[str, Any]:
    """``done`` and what ``work`` returns; or what ended it instead, and a detail.

    ``time`` (processor time or the clock), ``memory``, ``traceback`` (an exception), or ``crash``
    (a signal, or no answer).
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        os.close(reads)
        _limit()
        with os.fdopen(writes, "wb") as pipe:
            pickle.dump(guarded(work), pipe)
        os._exit(0)
    os.close(writes)
    answer_bytes = _answer(reads, child)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        kind = "time" if number in (signal.SIGXCPU, signal.SIGKILL) else "crash"
        return kind, signal.Signals(number).name
    if not answer_bytes:
        return "crash", "no answer"
    found: tuple[str, Any] = pickle.loads(answer_bytes)
    return found


def guarded(work: Callable[[], Any]) -> tuple[str, Any]:
    """``done`` and what ``work`` returns, or the exception that ended it."""
    try:
        return "done", work()
    except MemoryError:
        return "memory", f"more than {MEMORY >> 20} MB"
    except BaseException:
        return "traceback", " | ".join(traceback.format_exc().splitlines()[-5:])[:1000]


def _answer(reads: int, child: int) -> bytes:
    """What a child writes until it ends; a child that hangs is ended."""
    end = time.monotonic() + PATIENCE
    parts: list[bytes] = []
    with os.fdopen(reads, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                os.kill(child, signal.SIGKILL)
                return b""
            part = pipe.read(1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)


def _limit() -> None:
    """Limits this process to more time and memory than it has taken."""
    import resource

    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
    except OSError:
        pass  # no such file on macOS, which does not limit memory either
