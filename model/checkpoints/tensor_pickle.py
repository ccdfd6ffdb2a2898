"""Pickles that torch wrote, read as data: tensors, numbers, texts and containers; everything else stays a name.

A pickle is a program for a small stack machine, and some of its instructions import and call. This machine has none
that do: a class becomes :class:`Name`, what a call would make becomes :class:`Inert`, and only the few calls that
rebuild tensors and dictionaries are understood, by what they mean.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Dimensions of the tensors here; a convolution's weight has four.
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names; never imported."""

    dotted: str


class Inert:
    """What some call would have made. ``state`` is what the pickle sets on it."""

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
    """What a pickle holds.

    Raises:
        ValueError: it is no pickle, cut off, or one that no version of torch writes.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.stack[-1]
            machine.step(opcode.name, argument)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise ValueError(f"{error}") from None
    raise ValueError("it ends early")


_LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
})  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_RECALLS = frozenset({"GET", "BINGET", "LONG_BINGET"})


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._rest: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "FRAME": lambda _: None,
            "MARK": lambda _: self._mark(),
            "POP": lambda _: self._pop(),
            "POP_MARK": lambda _: self._drop_mark(),
            "DUP": lambda _: self.stack.append(self.stack[-1]),
            "TUPLE": lambda _: self._push(tuple(self._since_mark())),
            "EMPTY_LIST": lambda _: self._push([]),
            "LIST": lambda _: self._push(self._since_mark()),
            "APPEND": lambda _: self._extend([self.stack.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "EMPTY_DICT": lambda _: self._push({}),
            "DICT": lambda _: self._dict(self._since_mark()),
            "SETITEM": lambda _: self._set([self.stack.pop(-2), self.stack.pop()]),
            "SETITEMS": lambda _: self._set(self._since_mark()),
            "EMPTY_SET": lambda _: self._push(Inert("builtins.set")),
            "ADDITEMS": lambda _: self._drop_mark(),
            "FROZENSET": lambda _: self._frozen_set(),
            "GLOBAL": lambda named: self._push(Name(named.replace(" ", "."))),
            "STACK_GLOBAL": lambda _: self._push(_named(self.stack.pop(-2), self.stack.pop())),
            "INST": lambda named: self._push(_call(Name(named.replace(" ", ".")), tuple(self._since_mark()))),
            "OBJ": lambda _: self._object(self._since_mark()),
            "REDUCE": lambda _: self._push(_call(self.stack.pop(-2), self.stack.pop())),
            "NEWOBJ": lambda _: self._push(_call(self.stack.pop(-2), self.stack.pop())),
            "NEWOBJ_EX": lambda _: self._push(_call(self.stack.pop(-3), self.stack.pop(-2), self.stack.pop())),
            "BUILD": lambda _: self._build(self.stack.pop()),
            "BINPERSID": lambda _: self._push(_storage(self.stack.pop())),
        }

    def step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._push(argument)
        elif name in _CONSTANTS:
            self._push(_CONSTANTS[name])
        elif name in _TUPLES:
            size = _TUPLES[name]
            items = [self.stack.pop() for _ in range(size)]
            self._push(tuple(reversed(items)))
        elif name in _STORES:
            self._memo[len(self._memo) if argument is None else argument] = self.stack[-1]
        elif name in _RECALLS:
            self._push(self._memo[argument])
        elif name in self._rest:
            self._rest[name](argument)
        else:
            raise ValueError(f"the instruction {name} is in no pickle of torch")

    def _push(self, value: object) -> None:
        self.stack.append(value)

    def _mark(self) -> None:
        self._below.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._below.pop()
        return items

    def _drop_mark(self) -> None:
        self._since_mark()

    def _pop(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._drop_mark()

    def _frozen_set(self) -> None:
        self._drop_mark()
        self._push(Inert("builtins.frozenset"))

    def _extend(self, items: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def _dict(self, items: list[Any]) -> None:
        self._push({})
        self._set(items)

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            # Only texts and numbers are keys of what is looked for, and no other key's hash is asked for.
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update({key: value for key, value in pairs if isinstance(key, str | int)})

    def _object(self, items: list[Any]) -> None:
        self._push(_call(items[0], tuple(items[1:])))

    def _build(self, state: object) -> None:
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state


def _named(module: object, name: object) -> Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise ValueError("a name that is no text")
    return Name(f"{module}.{name}")


def _call(called: object, arguments: object, _keywords: object = None) -> object:
    """What a call stands for; nothing is called."""
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


def _storage(reference: object) -> PickledStorage:
    match reference:
        case ("storage", Name(dotted=dotted), str(key), _, int(numel)) if numel >= 0:
            return PickledStorage(key, dotted.rpartition(".")[2], numel)
    raise ValueError("a reference to something other than a storage")


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
