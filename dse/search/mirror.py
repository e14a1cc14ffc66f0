"""A study's outcomes in an Optuna storage, for the dashboard and for teams with a database."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from dse.errors import InputError, RunError
from dse.files import is_file, nearest
from dse.migrations import FIELD, current, migrate
from dse.schema import validate
from dse.search.candidate import Outcome
from dse.search.experiment import Experiment
from dse.search.folder import experiment_identity, remark_unknown_inputs
from dse.search.inputs import input_digests
from dse.search.origin import differences
from dse.version import model_version

_ATTRIBUTE = "dse"


def open_storage(url: str) -> Any:
    """An Optuna storage: a database URL, or the path of a journal file.

    Raises:
        InputError: it cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    if not url:
        raise InputError("no storage", field="--storage", mend="give a URL or a file")
    try:
        if "://" in url:
            return optuna.storages.get_storage(url)
        from optuna.storages.journal import JournalFileBackend

        return optuna.storages.JournalStorage(JournalFileBackend(url))
    except Exception as error:
        raise InputError(
            f"the storage cannot be opened ({_first_line(error)})",
            file=url,
            field="--storage",
            mend="give a database URL such as sqlite:///study.db, or a file for a journal",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class Mirror:
    """Adds each new outcome of a study to the storage, none twice.

    Raises:
        InputError: the storage cannot be used, or holds designs of another study of this name, or
            of another model: one front of both would be of neither.
    """

    def __init__(self, url: str, experiment: Experiment, technology: str) -> None:
        self.url = url
        self.experiment = experiment
        storage = open_storage(url)
        try:
            self.study = optuna.create_study(
                study_name=experiment.name,
                storage=storage,
                directions=[objective.sense for objective in experiment.objectives],
                load_if_exists=True,
            )
            self.present = {trial.user_attrs.get("design") for trial in self.study.get_trials()}
            held = dict(self.study.user_attrs)
        except Exception as error:
            raise InputError(
                f"the storage cannot be used ({_first_line(error)})",
                file=url,
                field="--storage",
                mend="check that it is reachable and holds no other study of this name",
            ) from None
        inputs = input_digests(experiment)
        self.identity = experiment_identity(experiment, technology, (), inputs)
        if self.present or "experiment" in held:
            there = migrate("storage", held, file=url)
            found = differences(there, experiment, technology, inputs=inputs)
            if found is None and self.present and not isinstance(there.get("inputs"), dict):
                remark_unknown_inputs(url)
            if found is not None:
                raise InputError(
                    found.why.replace("the folder", "the storage"),
                    file=url,
                    field="--storage",
                    mend="give another storage, or another name to the experiment",
                )
        try:
            self.study.set_metric_names([o.metric for o in experiment.objectives])
            for name, value in (
                (FIELD, current("storage")),
                ("experiment", experiment.model_dump(mode="json")),
                ("technology", technology),
                ("version", model_version()),
                ("inputs", inputs),
            ):
                self.study.set_user_attr(name, value)
        except Exception as error:
            raise InputError(
                f"the storage cannot be written ({_first_line(error)})",
                file=url,
                field="--storage",
                mend="make it writable, or give another",
            ) from None

    def add(self, outcome: Outcome) -> None:
        """Mirror one outcome."""
        if outcome.key in self.present:
            return
        self.present.add(outcome.key)
        values = outcome.objectives
        distributions: dict[str, Any] = {
            name: CategoricalDistribution(parameter.values)
            for name, parameter in self.experiment.parameters.items()
            if name in outcome.values
        }
        trial = create_trial(
            state=TrialState.COMPLETE if values is not None else TrialState.FAIL,
            values=list(values) if values is not None else None,
            params=dict(outcome.values),
            distributions=distributions,
            constraints={"requirements": outcome.violation},
            user_attrs={
                "design": outcome.key,
                "study": self.identity,
                "state": outcome.state,
                _ATTRIBUTE: json.dumps({FIELD: current("outcome"), **outcome.to_dict()}),
            },
        )
        try:
            self.study.add_trial(trial)
        except Exception as error:
            raise RunError(
                f"the storage was lost ({_first_line(error)})",
                file=self.url,
                mend="the log in --out has every evaluation; run the command again",
            ) from None


@dataclass(frozen=True)
class Stored:
    """A mirrored study: its experiment, its designs, and the digests of the technology data and
    the model that made it (empty if the storage, of an early release, does not say)."""

    experiment: Experiment
    outcomes: list[Outcome]
    made_by: tuple[str, str]


def read_storage(url: str, name: str | None = None) -> Stored:
    """A mirrored study of a storage.

    Args:
        url: the storage.
        name: of the study (of its experiment); may be left out where there is only one.

    Raises:
        InputError: no storage, none that this package wrote, or several and no name.
    """
    file = url.removeprefix("sqlite:///")
    if file != url and not is_file(file):
        raise InputError("there is no such database", file=url, mend="check the path")
    storage = open_storage(url)
    try:
        held_names = optuna.get_all_study_names(storage)
        studies = {
            held: study
            for held in held_names
            if "experiment"
            in (study := optuna.load_study(study_name=held, storage=storage)).user_attrs
        }
    except Exception as error:
        raise InputError(
            f"the storage cannot be read ({_first_line(error)})", file=url, mend="check the URL"
        ) from None
    if not studies:
        raise InputError(
            "no study of this tool in the storage",
            file=url,
            mend="run `dse explore --storage` first",
        )
    study = studies[_chosen(list(studies), name, url)]
    held = migrate("storage", dict(study.user_attrs), file=url)
    experiment = validate(Experiment, held["experiment"], file=url)
    made_by = (str(held.get("technology", "")), str(held.get("version", "")))
    trials = study.get_trials()
    outcomes = [_outcome(trial, url) for trial in trials]
    _one_study(trials, outcomes, url)
    return Stored(experiment, outcomes, made_by)


def _chosen(names: list[str], name: str | None, url: str) -> str:
    """The name asked for among those of a storage; the only one if none is."""
    listed = ", ".join(sorted(names))
    if name is None and len(names) > 1:
        raise InputError(
            f"the storage holds {len(names)} studies: {listed}",
            file=url,
            field="--name",
            mend=f"name one of them, such as --name {sorted(names)[0]} (or {url}#NAME)",
        )
    if name is not None and name not in names:
        raise InputError(
            f"the storage holds no study {name!r}",
            file=url,
            field="--name",
            mend=f"give one of: {listed}{nearest(name, names)}",
        )
    return name or names[0]


def _one_study(trials: list[Any], outcomes: list[Outcome], url: str) -> None:
    """That all designs are of one study: one front of two would be of neither.

    Raises:
        InputError: they are of several; early releases let them mix.
    """
    marks = {trial.user_attrs.get("study") for trial in trials} - {None}
    chips = {o.evaluation.chip for o in outcomes if o.evaluation is not None}
    if len(marks) > 1 or len(chips) > 1:
        what = f" (chips {', '.join(sorted(chips))})" if len(chips) > 1 else ""
        raise InputError(
            f"the storage mixes designs of several studies of one name{what}",
            file=url,
            mend="report the folders of --out, or mirror each study into a storage of its own",
        )


def _outcome(trial: Any, url: str) -> Outcome:
    """The outcome that a trial mirrors; the first release gave them no version.

    Raises:
        InputError: it mirrors none.
    """
    try:
        row = {FIELD: 1, **json.loads(trial.user_attrs[_ATTRIBUTE])}
        return Outcome.from_dict(migrate("outcome", row, file=url))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            "a trial that this tool did not write",
            file=url,
            field=f"trial {trial.number}",
            mend="remove it, or mirror the study into another storage",
        ) from None
