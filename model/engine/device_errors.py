"""The meaning of a device's error: too little memory, which a smaller batch may avoid, or a lost device.

An error's code decides where it has one. PyTorch's libraries have none: their errors are told apart by the name of the
status in the text. A device counts as lost only if it then fails a trivial computation as well.
"""

from __future__ import annotations

import torch

#: ``cudaErrorMemoryAllocation``
_CUDA_NO_MEMORY = 2
#: In the text of errors that have no class or code of their own.
_NO_ROOM = (
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",
    # cuBLAS and cuDNN say so too where there is no room for a handle or a workspace.
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_SUPPORTED",
)
_OF_DEVICE = ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_", "cuFFT error", "NCCL error")


def no_room(error: Exception) -> bool:
    """Whether the device, or the host for a CPU, had too little memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if getattr(error, "error_code", None) == _CUDA_NO_MEMORY:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_ROOM)


def device_lost(error: Exception, device: torch.device) -> bool:
    """Whether the device has failed for this process (a reset, an illegal access, a fallen bus).

    An error that comes from the device makes it compute something trivial; it is lost if it cannot.
    """
    return _is_of_device(error) and not answers(device)


def answers(device: torch.device) -> bool:
    """Whether the device still adds one and one."""
    try:
        return bool((torch.ones(1, device=device) + 1).item() == 2)
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False


def _is_of_device(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OF_DEVICE)
