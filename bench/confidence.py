"""Precision of automatic approval: how often it passes a right mark, passes a wrong one, and holds a right one.

Run: ``python -m bench.confidence TRAIN EVAL [--seeds 6] [--only NAME…]``. Each set is estimated as the pictures of a
job are. A found mark is right if its mask matches the true one (IoU of at least 0.8) and if un-blending with it
improves other photos by 3 dB.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from bench.marks import Photos, Pixels, Scene, crop, marked_set, scene_of
from bench.watermark import printed, psnr, samples_of
from cleanplate.base.masks import Approval
from model.errors import TemplateRefused
from model.watermark.estimate import estimate
from model.watermark.remove import finish, prepare
from model.watermark.sighting import shown_mask
from model.watermark.template import Template
from workers.device.templates.confidence import confidence

LEAST_IOU, LEAST_GAIN_DB = 0.8, 3.0
SCORED = 4
RULE = Approval(approve="auto")


@dataclass(frozen=True)
class Set:
    """The pictures of one simulated job; without a mark, ``scene`` gives only their size."""

    name: str
    scene: Scene
    samples: int
    marked: bool = True
    #: Draws each picture instead of ``scene``.
    draw: Callable[[Path, np.random.Generator], Pixels] | None = None

    def pictures(self, train: Photos, rng: np.random.Generator) -> list[Pixels]:
        """The pictures to estimate from."""
        paths = train.draw(rng, self.samples)
        if self.draw is not None:
            return [self.draw(path, rng) for path in paths]
        return [picture.given for picture in marked_set(self.scene, paths, rng)]


def print_near_the_middle(path: Path, rng: np.random.Generator) -> Pixels:
    """A product with its maker's logo."""
    return printed(crop(path, 480, 360, rng), rng)


def on_a_backdrop(path: Path, rng: np.random.Generator) -> Pixels:
    """A product on studio paper, whose far edge lies at the same height in all pictures; after JPEG."""
    picture = np.full((360, 480, 3), (236, 234, 230), np.float32)
    picture[223:] = (205, 203, 200)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7) + np.float32(rng.uniform(-8, 8))
    shape = np.zeros((360, 480), np.uint8)
    middle = 240 + rng.uniform(-40, 40), 200 + rng.uniform(-30, 30)
    cv2.ellipse(shape, (middle, (rng.uniform(120, 240), rng.uniform(110, 220)), rng.uniform(0, 180)), 255, -1)
    share = cv2.GaussianBlur(shape, (0, 0), 1).astype(np.float32)[..., None] / 255
    picture = picture * (1 - share) + crop(path, 480, 360, rng) * share + rng.normal(0, 1.5, (360, 480, 1))
    coded = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def sets() -> list[Set]:
    """Easy sets, hard sets, and sets without a shared mark."""
    made = [Set(f"text {alpha}", scene_of("text", alpha), 50) for alpha in (0.2, 0.4, 0.8)]
    made += [Set(f"{kind} {alpha}", scene_of(kind, alpha), 50) for kind, alpha in (("logo", 0.5), ("plate", 0.95))]
    made += [Set(f"text 0.4, N {count}", scene_of("text", 0.4), count) for count in (8, 14, 25)]
    made.append(Set("text 0.4, 85% white", scene_of("text", 0.4, white=0.85), 50))
    made.append(Set("text 0.4, jitter", scene_of("text", 0.4, jitter=3, strength=0.1), 50))
    made.append(Set("text 0.4 on a third", scene_of("text", 0.4, marked=0.33), 50))
    made += [Set(f"nothing shared, N {count}", scene_of("text", 0.0), count, marked=False) for count in (25, 50)]
    plain = scene_of("text", 0.0)
    made.append(Set("print near the middle", plain, 50, marked=False, draw=print_near_the_middle))
    made.append(Set("the edge of a backdrop", plain, 50, marked=False, draw=on_a_backdrop))
    return made


def verdict(subject: Set, train: Photos, scored: Photos, seed: int) -> tuple[str, float]:
    """The verdict of the rule on a set, and the confidence."""
    rng = np.random.default_rng(seed)
    try:
        result = estimate(samples_of(subject.pictures(train, rng)))
    except TemplateRefused:
        return "refused", 0.0
    sure = [confidence(template.quality) for template in result.templates]
    right = subject.marked and len(sure) == 1 and _right(subject.scene, result.templates[0], scored, rng)
    passes = "passed" if RULE.passes(sure) else "held"
    return f"{passes}, {'right' if right else 'wrong'}", min(sure)


def _right(scene: Scene, template: Template, scored: Photos, rng: np.random.Generator) -> bool:
    ious, gains = [], []
    for one in marked_set(replace(scene, marked=1.0), scored.draw(rng, SCORED), rng):
        prepared = prepare(one.given, template, noise=2.0)
        if prepared is None or not (one.alpha > 0).any():
            continue
        true, zone = one.coverage >= 0.5, one.coverage > 0.02
        mask = shown_mask(one.given.shape[:2], template, prepared.sighting)
        ious.append(float((mask & true).sum() / max((mask | true).sum(), 1)))
        fill = cv2.inpaint(one.given, prepared.hole, 3, cv2.INPAINT_TELEA) if prepared.wants_fill else None
        cleaned = finish(prepared, fill).pixels.astype(np.float32)
        gains.append(psnr(cleaned, one.original, zone) - psnr(one.given.astype(np.float32), one.original, zone))
    return bool(ious) and float(np.mean(ious)) >= LEAST_IOU and float(np.mean(gains)) >= LEAST_GAIN_DB


def main() -> None:
    """Estimate, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("scored", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of sets (default: all)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    train, scored = Photos(options.train), Photos(options.scored)
    verdicts: list[dict[str, object]] = []
    counts: Counter[str] = Counter()
    for seed in range(options.seeds):
        for one in sets():
            if options.only and one.name not in options.only:
                continue
            outcome, certainty = verdict(one, train, scored, seed)
            counts[outcome] += 1
            verdicts.append({"set": one.name, "seed": seed, "verdict": outcome, "confidence": certainty})
            print(f"{one.name}, seed {seed}: {outcome}, confidence {certainty:.2f}", flush=True)
            if options.out is not None:
                report = {"least_confidence": RULE.min_confidence, "counts": dict(counts), "sets": verdicts}
                options.out.write_text(json.dumps(report, indent=2) + "\n")
    print(dict(counts))


if __name__ == "__main__":
    main()
