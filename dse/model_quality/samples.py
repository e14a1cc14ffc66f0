"""Inputs to calibrate and evaluate with, from .npz files or folders of .npy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dse.errors import InputError
from dse.files import regular

Array = np.ndarray[Any, Any]
#: One feed of a model: an array by input name.
Sample = dict[str, Array]
_MEND = "give an .npz with one array per input (samples along the first axis), or a folder of .npy"


def load_samples(path: str | Path, inputs: Mapping[str, tuple[Sequence[Any], Any]]) -> list[Sample]:
    """The samples of a file or folder, each in the shape the model wants.

    Args:
        path: an ``.npz`` with an array per input, an ``.npy`` for a model of one input, or a folder
            of such files, one sample each, taken in the order of their names.
        inputs: shape (symbols as text) and dtype of each input of the model.

    In a file an array has its samples along its first axis: either as the leading axis of the model
    (which is then 1 or symbolic), or before all axes of the model. In a folder an array is a whole
    input, with or without the leading axis of 1.

    Raises:
        InputError: a missing or unreadable file, an input that is missing or of another shape.
    """
    place = Path(path)
    if place.is_dir():
        files = sorted(f for f in place.iterdir() if f.suffix in (".npy", ".npz"))
        if not files:
            raise InputError("the folder holds no .npy or .npz", file=place, mend=_MEND)
        samples = [
            {name: _whole(array, *inputs[name], name, file) for name, array in found.items()}
            for file in files
            for found in [_arrays(file, inputs)]
        ]
        for file, sample in zip(files, samples, strict=True):
            _check_finite(sample, file, "")
        return samples
    split = {
        name: _split(array, *inputs[name], name, place)
        for name, array in _arrays(place, inputs).items()
    }
    counts = {name: len(parts) for name, parts in split.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise InputError(f"inputs differ in samples: {listed}", file=place, mend=_MEND)
    samples = [dict(zip(split, parts, strict=True)) for parts in zip(*split.values(), strict=True)]
    for number, sample in enumerate(samples):
        _check_finite(sample, place, f" of sample {number}")
    return samples


def _arrays(file: Path, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The array of each input in a file; of a model with one input its name does not matter."""
    try:
        loaded = np.load(regular(file), allow_pickle=False)
        arrays = {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded.items())
    except OSError as error:
        why = error.strerror or "it is no NumPy file"
        raise InputError(f"cannot be read ({why})", file=file, mend=_MEND) from None
    except ValueError:
        raise InputError("it is no NumPy file of plain arrays", file=file, mend=_MEND) from None
    if len(inputs) == len(arrays) == 1:
        return dict(zip(inputs, arrays.values(), strict=True))
    missing = [name for name in inputs if name not in arrays]
    if missing:
        raise InputError(
            f"no array for the input {missing[0]!r} among {', '.join(arrays) or 'none'}",
            file=file,
            mend=f"name the arrays {', '.join(inputs)}",
        )
    return {name: arrays[name] for name in inputs}


def _check_finite(sample: Sample, file: Path, where: str) -> None:
    """Refuses numbers that are none: one of them alone makes a range without end.

    Raises:
        InputError: naming the input, the sample and how many.
    """
    for name, array in sample.items():
        bad = 0
        if np.issubdtype(array.dtype, np.floating):
            bad = array.size - int(np.count_nonzero(np.isfinite(array)))
        if bad:
            raise InputError(
                f"input {name!r}{where} holds infinite or undefined numbers ({bad} of "
                f"{array.size}) as {array.dtype}",
                file=file,
                field="--inputs",
                mend="leave the sample out, or mend what wrote it",
            )


def _fits(shape: Sequence[int], wanted: Sequence[Any]) -> bool:
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(not isinstance(w, int) or w == s for s, w in pairs)


def _split(array: Array, wanted: Sequence[Any], kind: Any, name: str, file: Path) -> list[Array]:
    leading = wanted[0] if wanted else None
    if leading is not None and (not isinstance(leading, int) or leading == 1):
        rest = (1, *array.shape[1:])
        if array.ndim == len(wanted) and _fits(rest, wanted):
            return [_as(part[None], kind) for part in array]
    if array.ndim == len(wanted) + 1 and _fits(array.shape[1:], wanted):
        return [_as(part, kind) for part in array]
    raise _misfit(array, wanted, name, file, "samples along the first axis")


def _as(array: Array, kind: Any) -> Array:
    """In the type of the input; what that cannot hold is found by :func:`_check_finite`."""
    if not np.issubdtype(kind, np.floating) and np.issubdtype(array.dtype, np.floating):
        kind = kind if np.all(np.isfinite(array)) else array.dtype
    with np.errstate(over="ignore"):
        return array.astype(kind, copy=False)


def _whole(array: Array, wanted: Sequence[Any], kind: Any, name: str, file: Path) -> Array:
    if _fits(array.shape, wanted):
        return _as(array, kind)
    if _fits((1, *array.shape), wanted):
        return _as(array[None], kind)
    raise _misfit(array, wanted, name, file, "one sample")


def _misfit(array: Array, wanted: Sequence[Any], name: str, file: Path, how: str) -> InputError:
    return InputError(
        f"input {name!r} is {_shown(wanted)}, the array {_shown(array.shape)} is not {how} of it",
        file=file,
        mend=_MEND,
    )


def _shown(shape: Sequence[Any]) -> str:
    return "x".join(str(axis) for axis in shape) or "a scalar"


def samples_digest(samples: Sequence[Sample]) -> str:
    """Identity of samples: names, types, shapes and values."""
    found = hashlib.sha256()
    for sample in samples:
        for name, array in sample.items():
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
