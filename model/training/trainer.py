"""The trainer: LaMa's recipe on watermark-like holes, with an average of the weights and exact resume.

One file holds the whole state of a run. Batches depend on the step alone, so a resumed run equals an unbroken one.
Values that are not finite never reach the checkpoint.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model.errors import CheckpointRejected, CheckpointUnwritten, TrainingDiverged, TrainingInterrupted
from model.networks.precision import multiplies_bf16
from model.training.batches import Batch, Batches
from model.training.checkpoint import read_checkpoint, write_checkpoint
from model.training.discriminator import (
    PatchDiscriminator,
    discriminator_loss,
    feature_distance,
    generator_loss,
    r1,
)
from model.training.journal import Journal, Means
from model.training.losses import masked_l1, rim_distance
from model.training.perceptual import PerceptualDistance
from model.training.recipe import Recipe

log = logging.getLogger(__name__)

#: The step of the samples of a sheet, which no run reaches.
_SHEET_STEP = 1 << 40


class Trainer:
    """Trains a network by a recipe; continues from ``folder/checkpoint.pt`` if it exists."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, batches: Batches, folder: Path, device: torch.device
    ) -> None:
        """``network``: ``[N, 4, H, W]`` to ``[N, 3, H, W]``, or to several such, the finished one first: all are taught
        by the pixels, and the finished one by everything else.

        Raises:
            RecipeRejected: the perceptual loss has no weights.
            CheckpointRejected: the checkpoint is damaged or another network's.
        """
        losses = recipe.losses
        torch.manual_seed(recipe.seed)
        self.recipe, self.batches, self.folder, self.device = recipe, batches, folder, device
        self.network = _placed(network, device).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._taught = list(self.network.parameters())
        self.optimizer = torch.optim.AdamW(self._taught, lr=recipe.schedule.rate, weight_decay=1e-4)
        self.discriminator: nn.Module | None = None
        if recipe.is_adversarial:
            judge = PatchDiscriminator(width=recipe.discriminator.width, depth=recipe.discriminator.depth)
            self.discriminator = _placed(judge, device)
            self.judging = torch.optim.Adam(
                self.discriminator.parameters(), lr=recipe.schedule.discriminator_rate, betas=(0.5, 0.99)
            )
        self._perceptual: nn.Module | None = None
        if losses.perceptual:
            options = recipe.perceptual
            self._perceptual = PerceptualDistance(
                Path(options.weights), stages=options.stages, dilated_from=options.dilated_from
            ).to(device)
        self.bf16 = multiplies_bf16(device) if recipe.bf16 is None else recipe.bf16
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.checkpoint = folder / "checkpoint.pt"
        if self.checkpoint.exists():
            self.load(read_checkpoint(self.checkpoint, device))
        compiles = recipe.compile and device.type == "cuda"
        self._forward: Callable[[Tensor], Any] = torch.compile(self.network) if compiles else self.network
        self._judge = torch.compile(self.discriminator) if compiles and self.discriminator else self.discriminator
        #: The first step whose loss or gradient was not finite, or -1; on the device, because looking at it waits.
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self._stop = False

    def run(self, until: int | None = None, *, seconds: float | None = None) -> None:
        """Train to the end of the recipe, or to step ``until`` of it, or for ``seconds``; then save.

        Raises:
            TrainingDiverged: a loss or gradient is no longer finite; the last checkpoint stands.
            TrainingInterrupted: :meth:`stop` was called; the state is saved.
            CheckpointUnwritten: the disk took no checkpoint, row or sheet; the last checkpoint stands.
        """
        settings, journal = self.recipe.logging, self._journal()
        end = self.recipe.schedule.steps if until is None else min(until, self.recipe.schedule.steps)
        seen = Means()
        began = time.monotonic()
        for batch in self._ahead(end):
            seen.add(self._learn(batch))
            self.step += 1
            late = seconds is not None and time.monotonic() - began >= seconds
            last = self.step == end or self._stop or late
            if last or self.step % settings.every == 0:
                self._look(seen, journal)
                self.save()
            if self.step % settings.sheet_every == 0 or (last and self.step == self.recipe.schedule.steps):
                self._show(journal)
            if self._stop:
                raise TrainingInterrupted(self.step, self.checkpoint)
            if late:
                return

    def count_operations(self) -> int:
        """Floating-point operations of one step, all networks, forward and backward; it is learnt, not compiled.

        Convolutions and matrix products count, Fourier transforms do not; nor does the rare step with a penalty.
        """
        while self.step % self.recipe.losses.penalty_every == 0:
            self.run(until=self.step + 1)
        batch = self.batches.batch(self.step)
        compiled = self._forward, self._judge
        self._forward, self._judge = self.network, self.discriminator
        with FlopCounterMode(display=False) as counter:
            self._learn(batch)
        self._forward, self._judge = compiled
        self.step += 1
        return int(counter.get_total_flops())

    def stop(self) -> None:
        """Ask the run to end after the present step. Safe in a signal handler."""
        self._stop = True

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        write_checkpoint(self.state(), self.checkpoint, step=self.step)

    def state(self) -> dict[str, Any]:
        """The state that a run needs to continue."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "recipe": self.recipe.model_dump(mode="json"),
        }
        if self.discriminator is not None:
            state |= {"discriminator": self.discriminator.state_dict(), "judging": self.judging.state_dict()}
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Continue from ``state``. A missing discriminator begins anew.

        Raises:
            CheckpointRejected: it is another network's.
        """
        try:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.discriminator is not None and "discriminator" in state:
                self.discriminator.load_state_dict(state["discriminator"])
                self.judging.load_state_dict(state["judging"])
            self.step = int(state["step"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointRejected(
                f"{self.checkpoint} is not of this recipe's network ({str(error).splitlines()[0]}). "
                "Choose another folder for this run, or the recipe that it was begun with."
            ) from None
        if state.get("recipe") != self.recipe.model_dump(mode="json"):
            log.warning("the recipe has changed since step %d: it counts from here on", self.step)

    def _ahead(self, end: int) -> Iterator[Batch]:
        """The batches from the current step on; the next one is made while the present one is in use."""
        if self.step >= end:
            return
        with ThreadPoolExecutor(1) as maker:
            waiting = maker.submit(self.batches.batch, self.step)
            for step in range(self.step, end):
                ready = waiting.result()
                if step + 1 < end:
                    waiting = maker.submit(self.batches.batch, step + 1)
                yield ready

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        """One step of both networks; the figures stay on the device."""
        share = self.recipe.schedule.rate_share(self.step)
        _set_rate(self.optimizer, self.recipe.schedule.rate * share)
        given = batch.given.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            results = self._forward(given)
        finished, *coarse = (part.float() for part in (results if isinstance(results, tuple) else (results,)))
        clean, hole = batch.clean, batch.hole
        laid = clean * (1 - hole) + finished * hole
        figures: dict[str, Tensor] = {}
        if self.discriminator is not None:
            _set_rate(self.judging, self.recipe.schedule.discriminator_rate * share)
            figures |= self._teach_discriminator(clean, laid.detach(), hole)
        terms = self._terms(finished, laid, batch)
        for part in coarse:
            terms["missing"] = terms["missing"] + masked_l1(part, clean, hole)
        weights = self.recipe.losses
        loss = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        # Gradients of the network alone: the discriminator only passes them on here.
        loss.backward(inputs=self._taught)  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._taught, self.recipe.schedule.clip)
        self.optimizer.step()
        self._watch(loss, norm, *figures.values())
        self._follow()
        return {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}, **figures, "norm": norm}

    def _teach_discriminator(self, clean: Tensor, laid: Tensor, hole: Tensor) -> dict[str, Tensor]:
        assert self.discriminator is not None and self._judge is not None
        losses = self.recipe.losses
        with self._autocast():
            real, _ = self._judge(clean)
            fake, _ = self._judge(laid)
        judged = discriminator_loss(real.float(), fake.float(), hole)
        loss = judged
        if losses.penalty and self.step % losses.penalty_every == 0:
            # Every few steps, stronger by that factor (Karras et al., CVPR 2020, appendix B); in fp32, not compiled.
            loss = loss + losses.penalty / 2 * losses.penalty_every * r1(self.discriminator, clean)
        self.judging.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.discriminator.parameters(), 10 * self.recipe.schedule.clip)
        self.judging.step()
        return {"judged": judged.detach()}

    def _terms(self, finished: Tensor, laid: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The generator's losses that have a weight, unweighted."""
        weights, clean, hole = self.recipe.losses, batch.clean, batch.hole
        terms = {"missing": masked_l1(finished, clean, hole), "known": masked_l1(finished, clean, 1 - hole)}
        if self._perceptual is not None:
            with self._autocast():
                terms["perceptual"] = self._perceptual(laid, clean).float()
        if self._judge is not None:
            with self._autocast():
                fake, ours = self._judge(laid)
                with torch.no_grad():
                    _, theirs = self._judge(clean)
            if weights.adversarial:
                terms["adversarial"] = generator_loss(fake.float(), hole)
            if weights.features:
                terms["features"] = feature_distance(theirs, ours)
        if weights.rim:
            terms["rim"] = rim_distance(laid, clean, hole)
        return terms

    def _watch(self, *values: Tensor) -> None:
        finite = torch.stack([value.detach().float() for value in values]).isfinite().all()
        now = torch.full_like(self._bad_step, self.step)
        self._bad_step = torch.where((self._bad_step < 0) & ~finite, now, self._bad_step)

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average towards the network, faster in early steps, so that it forgets the start."""
        keep = min(self.recipe.schedule.ema, (1 + self.step) / (10 + self.step))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        floating = [name for name, value in ours.items() if value.is_floating_point()]
        torch._foreach_lerp_([ours[name] for name in floating], [theirs[name] for name in floating], 1 - keep)
        for name in ours.keys() - set(floating):
            ours[name].copy_(theirs[name])

    def _journal(self) -> Journal:
        try:
            return Journal(self.folder, step=self.step)
        except OSError as error:
            raise CheckpointUnwritten(self.step, self.checkpoint, error.strerror or str(error)) from None

    def _look(self, seen: Means, journal: Journal) -> None:
        """Wait for the device, check that all is finite, and write a row.

        Raises:
            TrainingDiverged: it is not.
        """
        bad = int(self._bad_step)
        if bad >= 0:
            raise TrainingDiverged(bad, self.checkpoint)
        count, figures = seen.take()
        per_second = count * self.recipe.data.batch / seen.seconds()
        rate = self.recipe.schedule.rate * self.recipe.schedule.rate_share(self.step)
        try:
            journal.row(self.step, {**figures, "images_per_second": per_second, "rate": rate})
        except OSError as error:
            raise CheckpointUnwritten(self.step, self.checkpoint, error.strerror or str(error)) from None
        log.info("step %d of %d: loss %.5f, %.1f images/s", self.step, self.recipe.schedule.steps, figures["loss"],
                 per_second)  # fmt: skip

    @torch.no_grad()
    def _show(self, journal: Journal) -> None:
        batch = self.batches.batch(_SHEET_STEP, size=self.recipe.logging.sheet_rows)
        results = self.average(batch.given)
        finished = results[0] if isinstance(results, tuple) else results
        laid = batch.marked * (1 - batch.hole) + finished.float() * batch.hole
        try:
            journal.sheet(self.step, [batch.marked, batch.given[:, :3] + 0.5 * batch.hole, laid, batch.clean])
        except OSError as error:
            raise CheckpointUnwritten(self.step, self.checkpoint, error.strerror or str(error)) from None

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
