"""The meaning of a device's error: no memory, which a smaller batch may avoid, or a device lost to this process.

PyTorch reports a lost device by errors of several classes; afterwards every call on CUDA fails.
"""

from __future__ import annotations

import torch

#: In the text of errors that have no class of their own.
_NO_ROOM = ("can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
_LOST = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuFFT error")


def no_room(error: Exception) -> bool:
    """Whether the device, or the host for a CPU, had too little memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_ROOM)


def device_lost(error: Exception) -> bool:
    """Whether the device has failed (a reset, an illegal access, a fallen bus)."""
    if no_room(error):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _LOST)
