"""A YAML text in its new form; what a step left alone stays as it was written, with comments."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from typing import Any

from dse.migrations.content import Taken
from dse.migrations.places import Place, at, moves


def rewritten(text: str, taken: Sequence[Taken], data: Mapping[str, Any]) -> str:
    """``text`` after the steps ``taken``; ``data`` is its content at the end.

    Order, comments and the way numbers are written are kept; blanks inside a line may change. A
    comment goes with its field: where a step moved the field (:attr:`Step.moved`) it moves, where
    the field is gone it goes.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.util import load_yaml_guess_indent

    _, indent, offset = load_yaml_guess_indent(text)
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000  # no line is broken that was whole
    yaml.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
    node = yaml.load(text)
    content: Any = data
    for one in taken:
        before = copy.deepcopy(one.before)
        for old, new in moves(one.before, one.step.moved):
            _move(node, old, new)
            _move(before, old, new)
        _merge(node, before, one.after)
        content = one.after
    _merge(node, content, data)
    out = io.StringIO()
    yaml.dump(node, out)
    return out.getvalue()


def _move(content: Any, old: Place, new: Place) -> None:
    """Take a field to another place, with its comment; a mapping that is missing is made."""
    source = at(content, old[:-1])
    if not isinstance(source, dict) or old[-1] not in source:
        return
    goal: Any = content
    for key in new[:-1]:
        if isinstance(goal, dict) and key not in goal:
            goal[key] = type(source)()
        goal = at(goal, (key,))
    if not isinstance(goal, dict) or new[-1] in goal:
        return
    position = list(source).index(old[-1])
    comments = getattr(getattr(source, "ca", None), "items", {})
    comment = comments.pop(old[-1], None)
    value = source.pop(old[-1])
    _insert(goal, position if goal is source else len(goal), new[-1], value)
    if comment is not None:
        holder: Any = goal
        holder.ca.items[new[-1]] = comment


def _insert(goal: Any, position: int, key: Any, value: Any) -> None:
    if hasattr(goal, "insert"):
        goal.insert(position, key, value)
        return
    later = list(goal.items())[position:]
    for name, _ in later:
        del goal[name]
    goal[key] = value
    goal.update(later)


def _merge(node: Any, before: Any, after: Mapping[str, Any]) -> None:
    """Bring ``node``, which holds what ``before`` says, to what ``after`` says."""
    for key in [key for key in node if str(key) not in after]:
        del node[key]
    names = {str(key): key for key in node}
    for position, (name, value) in enumerate(after.items()):
        if name not in names:
            node.insert(position, name, value)
        elif not _same(before.get(name), value):
            node[names[name]] = _merged(node[names[name]], before.get(name), value)


def _merged(node: Any, before: Any, after: Any) -> Any:
    """``node`` itself, changed inside, where both are mappings or lists of one length."""
    if isinstance(before, Mapping) and isinstance(after, Mapping) and isinstance(node, Mapping):
        _merge(node, before, after)
        return node
    lists = isinstance(before, list) and isinstance(after, list) and isinstance(node, list)
    if lists and len(before) == len(after) == len(node):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            if not _same(old, new):
                node[index] = _merged(node[index], old, new)
        return node
    return after


def _same(one: Any, other: Any) -> bool:
    """Equal, and 1 is not 1.0 nor true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(a, b) for a, b in pairs)
    return type(one) is type(other) and bool(one == other)
