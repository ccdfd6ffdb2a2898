"""Kernels, bytes and operations of one pass as a CUDA device would capture it, beside its floor. Needs no GPU.

    python -m bench.roofline [--network big-lama] [--side 512] [--batch 1] [--precision bf16] [--window] [--out FILE]

The fused network, between bytes, runs on meta tensors, which have shapes and no values. Each operation that writes a
tensor counts as a kernel, which reads its operands and writes its result; views cost nothing. A convolution with a bias
counts as two: cuDNN adds the bias in a pass of its own. Layouts that cuDNN changes by itself are not seen.

The floor has two sides: the arithmetic of convolutions and products, and the bytes that these alone read and write,
with all else done on the way. The expected time gives every kernel the time of its bytes or its arithmetic, and at
least that of a kernel that does nothing. The device's figures are those of an H200.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from bench.engine import NETWORKS, corner
from model.box import Box
from model.networks.fused import fuse
from model.networks.precision import Precision
from model.networks.program import BytePass

#: An H200: bytes/s of its memory, dense operations/s by precision, and seconds of an idle kernel in a graph.
BYTES_PER_S = 4.8e12
FLOPS_PER_S: dict[Precision, float] = {"bf16": 990e12, "tf32": 495e12, "fp32": 67e12}
KERNEL_S = 2e-6
#: Operations that do the network's arithmetic; all others are glue.
_WORK = ("convolution", "mm", "bmm", "addmm", "baddbmm")


@dataclass
class Cost:
    """What the kernels of one operation cost in sum."""

    kernels: int = 0
    #: Read and written.
    nbytes: int = 0
    #: Two for a multiplication with its addition.
    flops: int = 0
    seconds: float = 0.0


@dataclass
class Count:
    """The cost of a pass by operation."""

    precision: Precision = "bf16"
    by_operation: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))

    def add(self, operation: str, nbytes: int, flops: int = 0) -> None:
        cost = self.by_operation[operation]
        cost.kernels += 1
        cost.nbytes += nbytes
        cost.flops += flops
        cost.seconds += max(KERNEL_S, nbytes / BYTES_PER_S, flops / FLOPS_PER_S[self.precision])

    def total(self, *, glue: bool | None = None) -> Cost:
        """Of all operations; with ``glue``, of those that are or are not the network's arithmetic."""
        costs = [cost for name, cost in self.by_operation.items() if glue is None or (name not in _WORK) is glue]
        return Cost(
            sum(cost.kernels for cost in costs),
            sum(cost.nbytes for cost in costs),
            sum(cost.flops for cost in costs),
            sum(cost.seconds for cost in costs),
        )

    @property
    def floor_s(self) -> float:
        """The least time on the device: that of the arithmetic, or of the bytes that it alone moves."""
        work = self.total(glue=False)
        return max(work.flops / FLOPS_PER_S[self.precision], work.nbytes / BYTES_PER_S)


class _Counter(TorchDispatchMode):
    def __init__(self, count: Count) -> None:
        super().__init__()
        self._count = count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        operands, results = _tensors((args, kwargs)), _tensors(result)
        owned = {_storage(tensor) for tensor in operands}
        written = [tensor for tensor in results if _storage(tensor) not in owned]
        in_place = func._schema.is_mutable
        if not written and not in_place:
            return result
        name = func._overloadpacket.__name__
        counted = flop_registry.get(func._overloadpacket)
        flops = int(counted(*args, **kwargs, out_val=result)) if counted is not None else 0
        read = {id(tensor): tensor for tensor in operands}.values()
        self._count.add(name, sum(map(_nbytes, (*read, *results))), flops)
        if name == "convolution" and args[2] is not None:
            self._count.add("bias of a convolution", 2 * sum(map(_nbytes, results)))
        return result


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _nbytes(tensor: Tensor) -> int:
    """Bytes that a kernel has to touch: what an expanded tensor repeats counts once."""
    sides: Iterable[int] = (size for size, step in zip(tensor.shape, tensor.stride(), strict=True) if step)
    return math.prod(sides) * tensor.element_size()


def count_of(run: Callable[[], object], precision: Precision = "bf16") -> Count:
    """The cost of what ``run`` computes on meta tensors, the second time: constants are made at the first."""
    count = Count(precision)
    with torch.no_grad():
        run()
        with _Counter(count):
            run()
    return count


def captured_pass(
    make: Callable[[], nn.Module], shape: tuple[int, int, int], precision: Precision, window: Box | None = None
) -> Count:
    """The cost of the pass that a CUDA device captures for ``shape`` (batch, height and width), from bytes to bytes.

    ``window``: what its decoder draws; ``None``: the whole tiles.
    """
    _, height, width = shape
    with torch.device("meta"):
        network = fuse(make().eval(), "dft")
        if precision == "bf16":
            network = network.to(torch.bfloat16)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        pixels, holes = torch.empty(*shape, 3, dtype=torch.uint8), torch.empty(shape, dtype=torch.uint8)
        whole = BytePass(network)
        return count_of(lambda: whole(pixels, holes, window or Box(0, 0, height, width), None), precision)


def report(name: str, count: Count) -> None:
    """Print the operations, the dearest first, and the sums."""
    table = Table("operation", "kernels", "MB", "GFLOP", "expected ms", title=name)

    def row(title: str, cost: Cost) -> None:
        table.add_row(
            title, str(cost.kernels), f"{cost.nbytes / 1e6:.0f}", f"{cost.flops / 1e9:.0f}", f"{cost.seconds * 1e3:.3f}"
        )

    for operation, cost in sorted(count.by_operation.items(), key=lambda item: -item[1].seconds):
        row(operation, cost)
    table.add_section()
    row("arithmetic", count.total(glue=False))
    row("glue", count.total(glue=True))
    row("all", count.total())
    table.caption = (
        f"floor {count.floor_s * 1e3:.3f} ms; expected {count.total().seconds / count.floor_s:.1f} times that"
    )
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="big-lama")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=tuple(FLOPS_PER_S), default="bf16")
    parser.add_argument("--window", action="store_true", help="the hole lies in a quarter of each side")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    shape = options.batch, options.side, options.side
    window = corner(options.side, options.side) if options.window else None
    count = captured_pass(NETWORKS[options.network], shape, options.precision, window)
    drawn = "whole tiles" if window is None else f"a window of {window.width} px"
    report(f"{options.network}, {options.batch} x {options.side} px, {options.precision}, {drawn}", count)
    if options.out:
        rows = {name: asdict(cost) for name, cost in count.by_operation.items()}
        facts = {"network": options.network, "shape": shape, "precision": options.precision, "drawn": drawn}
        figures = {**facts, "floor_s": count.floor_s, "all": asdict(count.total()), "rows": rows}
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
