"""A simple honest trainer: masked L1 on watermark-like holes, AdamW, an average of the weights, exact resume.

One file holds everything a run needs to go on: parameters, their moving average, the optimiser, the step. Batches are
a function of the step, so a run that was stopped and resumed equals one that was not.
"""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.errors import TrainingDiverged
from model.fourier_unet import FourierUNet
from model.prefill import push_pull
from model.training.batches import Batches


@dataclass(frozen=True)
class Plan:
    """How long and how fast a run learns. A resumed run equals an unbroken one if its plan is the same."""

    #: Optimiser steps in all.
    steps: int
    #: Learning rate between warm-up and decay.
    rate: float = 2e-3
    #: Share of the steps at the end over which the rate falls to zero.
    decay: float = 0.3
    #: Steps over which the rate rises from zero.
    warmup: int = 100
    #: Decay of the moving average of the weights.
    ema: float = 0.998
    #: Compute in bf16 where that is safe (autocast); the weights stay fp32.
    bf16: bool = False
    #: A checkpoint and a log line every so many steps.
    every: int = 100

    def rate_at(self, step: int) -> float:
        falling = self.steps * self.decay
        return self.rate * min(1.0, (step + 1) / self.warmup, max(0.0, (self.steps - step) / falling))


def masked_l1(result: Tensor, picture: Tensor, hole: Tensor) -> Tensor:
    """Mean absolute error per hole pixel and channel."""
    return ((result - picture).abs() * hole).sum() / (hole.sum() * picture.shape[1]).clamp_min(1)


class Trainer:
    """Trains a :class:`FourierUNet` on :class:`Batches`, going on from ``folder/checkpoint.pt`` where there is one."""

    def __init__(self, network: FourierUNet, batches: Batches, plan: Plan, folder: Path) -> None:
        self.network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.batches, self.plan, self.folder = batches, plan, folder
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-4)
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        if self.checkpoint.exists():
            self._resume()

    def run(self, until: int | None = None) -> None:
        """Train to the end of the plan, or to step ``until`` of it.

        Raises:
            TrainingDiverged: the loss is no longer finite; the last checkpoint stands.
        """
        seen_loss, seen_prefill, since, began = 0.0, 0.0, 0, time.monotonic()
        end = self.plan.steps if until is None else until
        for picture, hole in self._ahead(end):
            loss, prefill = self._learn(picture, hole)
            if not math.isfinite(loss):
                raise TrainingDiverged(self.step, self.checkpoint)
            self.step += 1
            seen_loss, seen_prefill, since = seen_loss + loss, seen_prefill + prefill, since + 1
            if self.step % self.plan.every == 0 or self.step == end:
                rate = since * self.batches.size / (time.monotonic() - began)
                self._log(seen_loss / since, seen_prefill / since, rate)
                self.save()
                seen_loss, seen_prefill, since, began = 0.0, 0.0, 0, time.monotonic()

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "plan": asdict(self.plan),
            },
            partial,
        )
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _ahead(self, end: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches from the current step on, the next one made while the present one is learnt from."""
        with ThreadPoolExecutor(1) as maker:
            waiting = maker.submit(self.batches.batch, self.step)
            for step in range(self.step, end):
                ready = waiting.result()
                waiting = maker.submit(self.batches.batch, step + 1)
                yield ready

    def _learn(self, picture: Tensor, hole: Tensor) -> tuple[float, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        given = torch.cat((picture * (1 - hole), hole), dim=1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(given.device.type, torch.bfloat16, enabled=self.plan.bf16):
            result = self.network(given)
        loss = masked_l1(result.float(), picture, hole)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self._follow()
        with torch.no_grad():
            prefill = masked_l1(push_pull(picture, hole), picture, hole)
        return loss.item(), prefill.item()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the network; early on it follows faster, so that it forgets the start."""
        keep = min(self.plan.ema, (1 + self.step) / (10 + self.step))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        for name, value in ours.items():
            if value.is_floating_point():
                value.lerp_(theirs[name], 1 - keep)
            else:
                value.copy_(theirs[name])

    def _log(self, loss: float, prefill: float, images_per_second: float) -> None:
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(("step", "masked_l1", "prefill_l1", "images_per_second", "rate"))
            rows.writerow(
                (
                    self.step,
                    f"{loss:.5f}",
                    f"{prefill:.5f}",
                    f"{images_per_second:.1f}",
                    f"{self.plan.rate_at(self.step):.6f}",
                )
            )
