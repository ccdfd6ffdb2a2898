"""Pickles of torch, read as data: tensors, numbers, texts and containers; everything else stays a name.

A pickle is a program, and some of its instructions import, call and set attributes. This unpickler does none of that:
a class becomes :class:`Name`, the result of a call becomes :class:`Inert`, and only the few calls that rebuild tensors
and dictionaries are understood, by their meaning.

It extends the Python implementation of ``pickle.Unpickler``. The C implementation, whose class hooks stop at imports,
would hash any key of a dictionary (a tuple of tuples takes exponential time, or the process), set attributes of any
object, and allocate as much as the pickle says.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

#: Dimensions of the tensors here; a convolution's weight has four.
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names; never imported."""

    dotted: str


class Inert:
    """Stands for the result of a call. ``state`` is set by the pickle."""

    def __init__(self, dotted: str) -> None:
        self.dotted = dotted
        self.state: object = None


@dataclass(frozen=True)
class PickledStorage:
    """Numbers that lie beside the pickle, in the entry ``data/<key>``. ``kind``: torch's class, as ``FloatStorage``."""

    key: str
    kind: str
    numel: int


@dataclass(frozen=True)
class PickledTensor:
    """A view of a storage; it lies within it and has no more elements than it."""

    storage: PickledStorage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_pickle(data: bytes) -> object:
    """The content of a pickle.

    Raises:
        ValueError: it is no pickle, truncated, or not from any version of torch.
    """
    try:
        return _TensorUnpickler(io.BytesIO(data), encoding="latin-1").load()
    except EOFError:
        raise ValueError("it ends early") from None
    except (pickle.UnpicklingError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ValueError(f"an instruction that is in no pickle of torch ({error})") from None


class _TensorUnpickler(pickle._Unpickler):
    # Of the implementation in Python.
    stack: list[Any]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Name:
        return Name(f"{module}.{name}")

    def persistent_load(self, pid: object) -> PickledStorage:
        match pid:
            case ("storage", Name(dotted=dotted), str(key), _, int(numel)) if numel >= 0:
                return PickledStorage(key, dotted.rpartition(".")[2], numel)
        raise ValueError("a reference to something other than a storage")

    def _instantiate(self, klass: object, args: list[Any]) -> None:
        self.append(_call(klass, tuple(args)))

    def load_reduce(self) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.append(_call(called, arguments))

    def load_newobj_ex(self) -> None:
        self.stack.pop()  # keywords, which none of the calls that are understood has
        self.load_reduce()

    def load_build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_setitems(self) -> None:
        self._update(self.pop_mark())

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._update(items)

    def load_additems(self) -> None:
        self.pop_mark()

    def load_empty_set(self) -> None:
        self.append(Inert("builtins.set"))

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(Inert("builtins.frozenset"))

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        """Set keys of the dictionary on top: only texts and numbers, so that no other key is hashed or compared."""
        if isinstance(self.stack[-1], dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            self.stack[-1].update({key: value for key, value in pairs if isinstance(key, str | int)})

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_reduce,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.ADDITEMS[0]: load_additems,
        pickle.EMPTY_SET[0]: load_empty_set,
        pickle.FROZENSET[0]: load_frozenset,
    }
    # These read a registry of the process, need buffers from outside, or allocate before they read.
    for _opcode in (
        pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.BYTEARRAY8,
    ):  # fmt: skip
        del dispatch[_opcode[0]]


def _call(called: object, arguments: object) -> object:
    """Interpret a call without calling anything."""
    if isinstance(called, Inert):
        return Inert(called.dotted)
    if not isinstance(called, Name) or not isinstance(arguments, tuple):
        raise ValueError("a call of something that has no name")
    match called.dotted:
        case "collections.OrderedDict" | "collections.defaultdict":
            return {}
        case "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2":
            return _tensor(*arguments[:4])
        case "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state":
            return arguments[0]
        case dotted:
            return Inert(dotted)


def _tensor(storage: object, offset: object, shape: object, stride: object) -> PickledTensor:
    match storage, offset:
        case PickledStorage(), int(start) if start >= 0:
            sizes, steps = _lengths(shape), _lengths(stride)
            reach = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) + 1
            elements = math.prod(sizes)
            if elements > storage.numel or (elements and reach > storage.numel):
                raise ValueError("a tensor reaches beyond its storage")
            return PickledTensor(storage, start, sizes, steps)
    raise ValueError("a tensor without a storage")


def _lengths(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or len(value) > _MOST_DIMENSIONS:
        raise ValueError("a tensor without a shape")
    if not all(isinstance(item, int) and 0 <= item < 2**40 for item in value):
        raise ValueError("a tensor without a shape")
    return tuple(value)
