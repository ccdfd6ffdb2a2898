"""The best arithmetic of a device: fp32, bf16, or fp32 with TF32 products.

Measured by ``bench/engine.py`` on a CPU with bf16 instructions: bf16 halves LaMa's time. It takes a quarter off that of
the small U-Net, which stays in fp32 all the same, so that its results do not depend on the processor.
"""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]


def best_precision(device: torch.device, architecture: str) -> Precision:
    """The default precision of ``architecture`` on ``device``."""
    if device.type == "cuda":
        # Emulated on older devices, such as a T4, where it is slower than fp32.
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if architecture == "lama" and _cpu_multiplies_bf16():
        return "bf16"
    return "fp32"


def _cpu_multiplies_bf16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
