"""Reading YAML files into validated models, with errors that point at the line.

Every file that a user writes (chip, app, experiment, manifest) goes through :func:`read_yaml` and
:func:`validate`: an unknown field, a wrong type or a value out of range becomes one
:class:`~dse.errors.InputError` that names the file, the line, the field and the allowed values.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from dse.errors import InputError, shortened
from dse.files import nearest, regular
from dse.registry import cached

Model = TypeVar("Model", bound=BaseModel)
#: Digits of an integer in a file, at most: more than any figure has.
MOST_DIGITS = 40
#: Values of a file with its aliases written out, at most: recorded arrivals take 100,000.
MOST_VALUES = 1_000_000
Item = TypeVar("Item")


def distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    """Validator of a list in which nothing may stand twice."""
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{twice[0]!r} is named twice; give each value once")
    return values


class Strict(BaseModel):
    """Base of all file models: frozen, unknown fields are refused, and a truth value is no number.

    Without the last, ``rows: yes`` would silently be one row.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name in _numbers_of(cls):
            raise ValueError(f"{value!r} is no number; write one".lower())
        return value


@cached(256)
def _numbers_of(model: type[BaseModel]) -> frozenset[str]:
    """Fields that are a number (or a word or nothing), and cannot be true or false."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kinds = {field.annotation, *get_args(field.annotation)}
        if kinds & {int, float} and bool not in kinds:
            found.add(name)
    return frozenset(found)


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[str, int]]:
    """One YAML mapping and the line of each of its fields.

    Returns:
        The plain mapping, and ``{"array.rows": 12}``: the 1-based line of every field path.

    Raises:
        InputError: missing or unreadable file, or not a YAML mapping.
    """
    path = regular(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the file cannot be read ({error.strerror or error})", file=path, mend="check the path"
        ) from None
    except UnicodeDecodeError:
        raise InputError("the file is not text in UTF-8", file=path, mend="save it so") from None
    except ValueError:  # a name with a null character
        raise InputError("there is no such file", file=path, mend="check the path") from None
    return parse_yaml(text, path)


@cached(256)
def _load_text(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import ConstructorError, RoundTripConstructor

    class Constructor(RoundTripConstructor):
        """Integers longer than any figure, and aliases inside of themselves, are faults."""

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            if node in self.recursive_objects:
                why = "an alias inside of what it stands for"
                raise ConstructorError(None, None, why, node.start_mark)
            return super().construct_object(node, deep)

        def construct_yaml_int(self, node: Any) -> Any:
            if len(node.value) > MOST_DIGITS:
                why = f"an integer of {len(node.value):,} digits"
                raise ConstructorError(None, None, why, node.start_mark)
            return super().construct_yaml_int(node)

    Constructor.add_constructor("tag:yaml.org,2002:int", Constructor.construct_yaml_int)
    yaml = YAML(typ="rt")
    yaml.Constructor = Constructor
    return yaml.load(text)


def parse_yaml(text: str, path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """:func:`read_yaml` of a text that was read before; ``path`` is named in errors."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        loaded = _load_text(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else None
        problem = (error.problem or "malformed").replace("\n", " ")
        raise InputError(
            f"not valid YAML ({problem})", file=path, field=where, mend="mend that line"
        ) from None
    except YAMLError as error:
        why = f"not valid YAML ({str(error).splitlines()[0]})"
        raise InputError(why, file=path, mend="save it as plain text") from None
    except RecursionError:
        raise _too_large(path, "is nested too deep to be read") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        # A tag that its value does not fit (!!int x, !!timestamp x), or a merge of no mapping.
        why = f"a value that YAML can make nothing of ({shortened(str(error))})"
        raise InputError(why, file=path, mend="write plain values, without tags") from None
    if not isinstance(loaded, Mapping):
        raise InputError(
            "the file does not hold a YAML mapping", file=path, mend="write `key: value` lines"
        )
    lines: dict[str, int] = {}
    try:
        return _plain(loaded, "", lines, _Room(path)), lines
    except RecursionError:
        raise _too_large(path, "is nested too deep to be read") from None


def _too_large(path: Path, what: str) -> InputError:
    return InputError(f"the file {what}", file=path, mend="write it without aliases (*name)")


class _Room:
    """How many values a file may still bring once its aliases are written out."""

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, MOST_VALUES

    def take(self, count: int) -> None:
        """Room for so many values.

        Raises:
            InputError: there is none left.
        """
        self.left -= count
        if self.left < 0:
            why = f"brings more than {MOST_VALUES:,} values with its aliases written out"
            raise _too_large(self.path, why)


def _plain(node: Any, prefix: str, lines: dict[str, int], room: _Room) -> Any:
    """Plain Python values of a round-trip node; field lines are collected on the way.

    What ``<<`` merges into a mapping counts as written there; its own keys win, as YAML has it.
    """
    if isinstance(node, Mapping):
        room.take(len(node))
        out: dict[str, Any] = {}
        for key, value in node.items():
            field = f"{prefix}.{key}" if prefix else str(key)
            with contextlib.suppress(AttributeError, KeyError, TypeError):
                lines[field] = node.lc.key(key)[0] + 1  # type: ignore[attr-defined]
            out[str(key)] = _plain(value, field, lines, room)
        return out
    if isinstance(node, list):
        room.take(len(node))
        return [_plain(item, f"{prefix}.{index}", lines, room) for index, item in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, str):
        return _number(str(node))
    return node


def _number(text: str) -> str | float:
    """YAML 1.2 reads ``8e8`` as text; every number a person would call one is a number here."""
    head = text[:1]
    if not (head.isdigit() or head in "+-."):
        return text
    if "e" not in text.lower():
        return text
    try:
        return float(text)
    except ValueError:
        return text


def validate(
    model: type[Model],
    data: Mapping[str, Any],
    *,
    file: str | Path | None = None,
    lines: Mapping[str, int] | None = None,
) -> Model:
    """``data`` as ``model``, or one error for the first fault.

    Raises:
        InputError: naming file, line, field, what is wrong and what is allowed.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = _own(error.errors(include_url=False))
        # A misspelt field is also a missing one: the misspelling is what to mend.
        fault = min(faults, key=lambda found: found["type"] != "extra_forbidden")
        path = [str(part) for part in fault["loc"]]
        field = ".".join(part for part in path if not _is_tag(part))
        line = _line(lines or {}, field.split("."))
        label = f"line {line}: {field}" if line else field
        message, mend = _explain(model, fault, path)
        more = len(faults) - 1
        if more:
            mend = f"{mend} ({more} more fault{'s' if more > 1 else ''} in this file)"
        raise InputError(message, file=file, field=label or None, mend=mend) from None


def _own(faults: Sequence[Any]) -> list[Any]:
    """The faults without those that only follow: a list with a faulty item also counts as short."""
    above = {tuple(fault["loc"][:n]) for fault in faults for n in range(len(fault["loc"]))}
    return [f for f in faults if f["type"] != "too_short" or tuple(f["loc"]) not in above]


def _line(lines: Mapping[str, int], path: list[str]) -> int | None:
    for end in range(len(path), 0, -1):
        if (line := lines.get(".".join(path[:end]))) is not None:
            return line
    return None


def _explain(model: type[BaseModel], fault: Any, path: list[str]) -> tuple[str, str]:
    kind, text = fault["type"], fault["msg"]
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        hint = nearest(path[-1], known)
        return "unknown field", f"remove it or use one of: {', '.join(known)}{hint}"
    if kind == "missing":
        return "the field is missing", "add it"
    if kind == "value_error":
        text = text.removeprefix("Value error, ")
        message, _, mend = text.partition("; ")
        return message, mend or "correct the value"
    given = fault.get("input")
    plain = isinstance(given, (str, int, float, bool))
    shown = f" (given: {shortened(repr(given))})" if plain else ""
    return f"{text[:1].lower()}{text[1:]}{shown}", "correct the value"


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Known field names of the nested model at ``path`` (best effort through unions)."""
    here: Any = model
    annotation: Any = None
    for part in path:
        if _is_tag(part):
            here = _model_in(annotation, part[1:-1]) or here
            continue
        field = getattr(here, "model_fields", {}).get(part)
        if field is None:
            continue
        annotation = field.annotation
        here = _model_in(annotation) or here
    return sorted(getattr(here, "model_fields", {}))


def _is_tag(part: str) -> bool:
    """Whether a part of a path is no field, but says which form of a union was meant."""
    return part.startswith("<") and part.endswith(">")


def _model_in(annotation: Any, name: str | None = None) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation if name in (None, annotation.__name__) else None
    for part in getattr(annotation, "__args__", ()):
        if found := _model_in(part, name):
            return found
    return None


def canonical_json(value: Any) -> str:
    """The one text form of a JSON-like value: sorted keys, no blanks, finite numbers.

    A whole float is written as an integer, so that ``1`` and ``1.0`` have the same identity.
    """
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def digest(value: Any) -> str:
    """SHA-256 (hex) of :func:`canonical_json` of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_of_texts(parts: Mapping[str, str]) -> str:
    """:func:`digest` of a mapping whose values are given as :func:`canonical_json`."""
    fields = ",".join(f"{json.dumps(key)}:{parts[key]}" for key in sorted(parts))
    return hashlib.sha256(f"{{{fields}}}".encode()).hexdigest()
