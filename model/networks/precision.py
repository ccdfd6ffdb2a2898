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
    chosen = device.type == "cuda" or architecture == "lama"
    return "bf16" if chosen and multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: torch.device) -> bool:
    """Whether ``device`` has units for bf16; without them it is slower than fp32, on CPUs 4 to 6 times."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
