"""A study on disk: its configuration, an append-only log of every evaluation, and versions."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from dse.errors import InputError, OlderFileWarning, RunError
from dse.files import is_file, regular, write_json
from dse.migrations import FIELD, Migrated, current, migrated, read_json, remarked
from dse.schema import digest, validate
from dse.search.candidate import Outcome
from dse.search.effort import Effort
from dse.search.experiment import Experiment
from dse.search.inputs import input_digests
from dse.search.lock import StudyLock
from dse.search.origin import OPEN_FIELDS, differences
from dse.version import model_version, search_version

LOG = "evaluations.jsonl"
#: State of the search after each batch; made anew by each run.
PROGRESS = "progress.jsonl"
CONFIG = "study.json"


class StudyFolder:
    """Read and append to the folder of one study.

    The log is the truth: one JSON line per evaluated design. A line cut short by a kill is left
    out when reading (and the design evaluated again).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._log: IO[str] | None = None
        self._lock: StudyLock | None = None

    @property
    def exists(self) -> bool:
        return is_file(self.path / CONFIG)

    def open(
        self,
        experiment: Experiment,
        technology_digest: str,
        start: Sequence[Mapping[str, Any]] = (),
        *,
        break_lock: bool = False,
    ) -> tuple[Outcome, ...]:
        """Create the folder, or check that it belongs to the same experiment; hold it until close.

        Args:
            experiment: what the study is of.
            technology_digest: of the technology data.
            start: the designs that the search begins with; they are part of what it is.
            break_lock: take the folder from another run that holds it.

        Returns:
            What was evaluated before.

        Raises:
            InputError: the folder holds another experiment, or was made by another version of the
                model, of other inputs or with other technology data; says what differs, and the
                ways on. Or another run is going on in it.
        """
        inputs = input_digests(experiment)
        if self.exists:
            self._check(experiment, technology_digest, start, inputs)
        if self.path.exists() and not self.path.is_dir():
            raise InputError("not a folder", file=self.path, mend="give a folder for --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        lock = StudyLock(self.path)
        lock.acquire(break_lock=break_lock)
        self._lock = lock
        try:
            return self._begin(experiment, technology_digest, start, inputs)
        except BaseException:
            self.close()
            raise

    def _check(
        self,
        experiment: Experiment,
        technology_digest: str,
        start: Sequence[Mapping[str, Any]],
        inputs: Mapping[str, str],
    ) -> None:
        """That the folder's study is the one asked for; a remark if it cannot be known whole."""
        config = self.config()
        found = differences(config, experiment, technology_digest, start, inputs)
        if found is not None:
            raise InputError(found.why, file=self.path, mend=found.ways_on(self.path))
        if not isinstance(config.get("inputs"), dict):
            remark_unknown_inputs(self.path)

    def _begin(
        self,
        experiment: Experiment,
        technology_digest: str,
        start: Sequence[Mapping[str, Any]],
        inputs: Mapping[str, str],
    ) -> tuple[Outcome, ...]:
        """Write the configuration, if there is none, and open the log; the folder is ours."""
        if not self.exists:
            if _holds_rows(self.path / LOG):
                raise InputError(
                    f"the folder holds designs, but no {CONFIG} that says of which experiment",
                    file=self.path / LOG,
                    mend=f"restore {CONFIG}, move the log away, or give another --out folder",
                )
            config = {
                "schema_version": current("study"),
                "identity": experiment_identity(experiment, technology_digest, start, inputs),
                "technology": technology_digest,
                "version": model_version(),
                "search": search_version(),
                "experiment": experiment.model_dump(mode="json"),
                "inputs": dict(inputs),
                "start": [dict(values) for values in start],
                "environment": environment(),
            }
            try:
                write_json(self.path / CONFIG, config)
            except OSError as error:
                raise _unwritable(self.path, error) from None
        known = tuple(self.outcomes())  # a log that cannot be read leaves everything as it is
        with contextlib.suppress(OSError):
            (self.path / PROGRESS).unlink(missing_ok=True)
        self._log = self._appendable()
        return known

    def _appendable(self) -> IO[str]:
        """The log opened for appending, a half-written last line cut off first."""
        path = regular(self.path / LOG)
        try:
            if path.is_file():
                data = path.read_bytes()
                end = data.rfind(b"\n") + 1
                if end != len(data):
                    with path.open("r+b") as handle:
                        handle.truncate(end)
            return path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"the log cannot be written ({error.strerror})",
                file=path,
                mend="make it writable, or give another --out folder",
            ) from None

    def append(self, outcome: Outcome, effort: Effort) -> None:
        """Write one evaluation, with what it took, through to the disk."""
        if self._log is None:
            raise RunError("the study folder is not open", file=self.path)
        if self._lock is not None:
            self._lock.check()
        row = {"schema_version": current("outcome"), **outcome.to_dict(), **effort.to_dict()}
        try:
            self._log.write(json.dumps(row, allow_nan=False) + "\n")
            self._log.flush()
        except OSError as error:
            raise _disk(self.path / LOG, error) from None

    def note(self, row: Mapping[str, Any]) -> None:
        """Add one line about the state of the search after a batch."""
        with (
            contextlib.suppress(OSError),
            (self.path / PROGRESS).open("a", encoding="utf-8") as log,
        ):
            whole = {"schema_version": current("progress"), **row}
            log.write(json.dumps(whole, allow_nan=False) + "\n")

    def progress(self) -> tuple[dict[str, float], ...]:
        """The lines of :meth:`note` of the last run, which replays the batches before it."""
        try:
            lines = regular(self.path / PROGRESS).read_text(encoding="utf-8").splitlines()
            rows = [migrated("progress", json.loads(line)).data for line in lines]
            return tuple({k: v for k, v in row.items() if k != FIELD} for row in rows)
        except (OSError, ValueError, TypeError, AttributeError, InputError):
            return ()

    def effort(self) -> Effort:
        """What all logged evaluations took together."""
        out = Effort()
        try:
            lines = regular(self.path / LOG).read_text(encoding="utf-8").splitlines()
        except OSError:
            return out
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError, TypeError, InputError):
                out += Effort.from_dict(migrated("outcome", json.loads(line)).data)
        return out

    def close(self) -> None:
        """Bring the log to the disk and give the folder back.

        Raises:
            RunError: the disk is full; what was evaluated last may not be in the log.
        """
        log, lock = self._log, self._lock
        self._log = self._lock = None
        try:
            if log is not None:
                try:
                    log.flush()
                    os.fsync(log.fileno())
                finally:
                    log.close()
        except OSError as error:
            raise _disk(self.path / LOG, error) from None
        finally:
            if lock is not None:
                lock.release()

    def config(self) -> dict[str, Any]:
        """What the study was made of.

        Raises:
            InputError: the folder is not a study, or its configuration is damaged.
        """
        if not self.exists:
            raise InputError(
                "no study in this folder",
                file=self.path,
                mend="run `dse explore` or `dse sweep` with this --out first",
            )
        return read_json("study", self.path / CONFIG, mend="restore or remove it")

    def start(self) -> tuple[dict[str, Any], ...]:
        """The designs that the study began with; none if there is no study yet."""
        return tuple(self.config().get("start", ())) if self.exists else ()

    def experiment(self) -> Experiment:
        found = self.config().get("experiment")
        if not isinstance(found, dict):
            raise InputError(
                "the study does not say of which experiment it is",
                file=self.path / CONFIG,
                field="experiment",
                mend="restore the file",
            )
        return validate(Experiment, found, file=self.path / CONFIG)

    def outcomes(self) -> Iterator[Outcome]:
        """Every evaluation of the log, in the order written; each design once."""
        path = self.path / LOG
        if not path.exists():
            return
        seen: set[str] = set()
        try:
            lines = regular(path).read_bytes().split(b"\n")
        except OSError as error:
            raise InputError(
                f"the log cannot be read ({error.strerror})", file=path, mend="restore the file"
            ) from None
        told = False
        # What stands behind the last line end was cut short by a kill; it is evaluated again.
        for number, line in enumerate(lines[:-1], 1):
            found = _row(line, path, number)
            if found.why and not told:
                told = bool(remarked(found, path))
            outcome = _outcome(found.data, path, number)
            if outcome.key not in seen:
                seen.add(outcome.key)
                yield outcome


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        f"the folder cannot be written ({error.strerror})",
        file=folder,
        mend="choose another --out folder",
    )


def _disk(log: Path, error: OSError) -> RunError:
    return RunError(
        f"the log cannot be written ({error.strerror})",
        file=log,
        mend="free the disk and run the command again: it goes on where it stopped",
    )


def remark_unknown_inputs(file: str | Path) -> None:
    """Tell the user that an old study does not say what its files held."""
    warnings.warn(
        f"{file}: the study was begun before digests of its chips, apps and models were kept; "
        "whether those files have changed since is not known",
        OlderFileWarning,
        stacklevel=3,
    )


def _holds_rows(log: Path) -> bool:
    """Whether there is a log with anything in it."""
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def _row(line: bytes, path: Path, number: int) -> Migrated:
    """One line of the log in the form of today.

    Raises:
        InputError: the line is no JSON object, or of a version that is not known.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise _damaged(path, number)
    return migrated("outcome", row, file=path, prefix=f"line {number}: ")


def _outcome(row: dict[str, Any], path: Path, number: int) -> Outcome:
    """The outcome in a line of the log.

    Raises:
        InputError: the line lacks something, or has something that no outcome has.
    """
    try:
        effort = ("seconds", "mappings", "remembered")
        for name in effort:
            row[name]
        return Outcome.from_dict({key: value for key, value in row.items() if key not in effort})
    except (ValueError, TypeError, KeyError, AttributeError):
        raise _damaged(path, number) from None


def _damaged(path: Path, number: int) -> InputError:
    return InputError(
        "the line is damaged",
        file=path,
        field=f"line {number}",
        mend="remove the line: its design will be evaluated again",
    )


def experiment_identity(
    experiment: Experiment,
    technology_digest: str,
    start: Sequence[Mapping[str, Any]] = (),
    inputs: Mapping[str, str] | None = None,
) -> str:
    """Identity of a study: experiment (how far it runs aside), start, inputs, data, code version.

    ``inputs`` are the digests of its chips, apps and models (those of now, if left out).
    """
    content = experiment.model_dump(mode="json", exclude=set(OPEN_FIELDS))
    begun = [dict(values) for values in start]
    held = input_digests(experiment) if inputs is None else dict(inputs)
    return digest([content, technology_digest, search_version(), begun, held])


def environment() -> dict[str, str]:
    """Versions that a result was computed with."""
    packages = ("dse", "numpy", "simpy", "optuna", "scipy", "onnx", "numba")
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
