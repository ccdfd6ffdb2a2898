"""The gain of each optimisation of LaMa: medians and ratios, all in one run.

    python -m bench.engine [--side 512] [--network big-lama] [--repeat 7] [--onnx] [--out engine.json]

Rows: the plain eager network, the traced TorchScript module (the usual way to run LaMa), then the project's own
optimisations, each added to the one before. Weights are random, because time does not depend on them. Parity is
against eager fp32. CPU seconds stand beside wall time, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from model.box import Box
from model.networks.fourier_unet import FourierUNet
from model.networks.fused import fuse
from model.networks.lama import LaMaGenerator
from model.networks.precision import best_precision

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "big-lama": lambda: LaMaGenerator(n_blocks=18),
    "lama-fourier": lambda: LaMaGenerator(n_blocks=9),
    "fourier-unet": FourierUNet,
}
Pass = Callable[[], Tensor]


def randomise_norms(network: nn.Module) -> nn.Module:
    """Set random statistics in every norm: with those of a new network, parity would show little."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


def corner(height: int, width: int) -> Box:
    """The box of the mask: a quarter of each side, away from the border."""
    return Box(height // 2, width // 2, height * 3 // 4, width * 3 // 4)


def variants(network: nn.Module, x: Tensor, window: Box) -> dict[str, Pass]:
    """Each way of running ``network`` on ``x``, by the name of its row."""
    last = x.contiguous(memory_format=torch.channels_last)

    def laid_out(module: nn.Module) -> nn.Module:
        return module.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, but is still the common way to run LaMa
        traced = torch.jit.trace(network, x)  # type: ignore[no-untyped-call]
    fft, dft = laid_out(fuse(network, "fft")), laid_out(fuse(network, "dft"))
    half = laid_out(fuse(network, "fft").bfloat16())
    return {
        "eager": lambda: network(x),
        "traced TorchScript": lambda: traced(x),
        "fused, channels last": lambda: fft(last),
        "  DFT as products": lambda: dft(last),
        "fused, around the mask": lambda: fft(last, window),
        "bf16": lambda: half(last),
        "bf16, around the mask": lambda: half(last, window),
    }


def onnx_pass(network: nn.Module, x: Tensor) -> Pass:
    """The same network in ONNX Runtime (needs the packages onnx and onnxruntime)."""
    import io

    import onnxruntime

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(fuse(network, "dft"), (x,), file, dynamo=False, opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    values = np.asarray(x.numpy())
    return lambda: torch.from_numpy(session.run(None, {name: values})[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--network", choices=NETWORKS, default="big-lama")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--onnx", action="store_true", help="also run it in ONNX Runtime")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()

    torch.manual_seed(0)
    network = randomise_norms(NETWORKS[options.network]())
    x = torch.rand(1, 4, options.side, options.side)
    window = corner(options.side, options.side)
    x[:, 3] = 0
    x[:, 3, *window.slices] = 1
    x[:, :3] *= 1 - x[:, 3:]

    with torch.inference_mode():
        passes = variants(network, x, window)
        if options.onnx:
            passes["ONNX Runtime, DFT as products"] = onnx_pass(network, x)
        reference = passes["eager"]()[..., *window.slices]
        walls: dict[str, list[float]] = {name: [] for name in passes}
        cpus: dict[str, list[float]] = {name: [] for name in passes}
        parity: dict[str, float] = {}
        for _ in range(options.repeat + 1):
            for name, run in passes.items():
                wall, cpu = time.perf_counter(), time.process_time()
                result = run()
                walls[name].append(time.perf_counter() - wall)
                cpus[name].append(time.process_time() - cpu)
                part = result if result.shape == reference.shape else result[..., *window.slices]
                parity[name] = float((part - reference).abs().max())

    base = statistics.median(cpus["traced TorchScript"][1:])
    table = Table("", "wall ms", "CPU ms", "x traced (CPU)", "max error", title=f"{options.network}, {options.side} px")
    figures = {}
    for name in passes:
        wall, cpu = (statistics.median(times[name][1:]) * 1000 for times in (walls, cpus))
        ratio = base * 1000 / cpu
        table.add_row(name, f"{wall:.0f}", f"{cpu:.0f}", f"{ratio:.2f}", f"{parity[name]:.1e}")
        figures[name.strip()] = {
            "wall_ms": round(wall, 1),
            "cpu_ms": round(cpu, 1),
            "times_traced": round(ratio, 3),
            "max_error": parity[name],
        }
    console = Console(width=110)
    console.print(table)
    chosen = best_precision(torch.device("cpu"), "lama" if "lama" in options.network else options.network)
    console.print(f"{torch.get_num_threads()} threads; the engine chooses {chosen} for this network on this CPU")
    if options.out:
        facts = {"network": options.network, "side": options.side, "threads": torch.get_num_threads()}
        options.out.write_text(json.dumps({**facts, "rows": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
