"""The rule that lets a job begin without a person: how often it passes rightly, wrongly, and not where it could have.

Run: ``python -m bench.confidence TRAIN EVAL``. Each set is estimated as a job's pictures are; what was found is right
where its mask is the true mark's (IoU of .8 or more) and un-blending by it betters other photos by 3 dB.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bench.marks import Photos, Scene, marked_set, scene_of
from bench.watermark import psnr, samples_of
from model.errors import TemplateRefused
from model.watermark.estimate import estimate
from model.watermark.remove import finish, prepare
from model.watermark.sighting import shown_mask
from model.watermark.template import Template
from storage.options import Approval
from workers.confidence import confidence

LEAST_IOU, LEAST_GAIN_DB = 0.8, 3.0
SCORED = 4
RULE = Approval(approve="auto")


@dataclass(frozen=True)
class Set:
    """Pictures as a job has them; without a mark ``scene`` says only their size."""

    name: str
    scene: Scene
    samples: int
    marked: bool = True


def sets() -> list[Set]:
    """Easy and hard ones, and such as share nothing."""
    made = [Set(f"text {alpha}", scene_of("text", alpha), 50) for alpha in (0.2, 0.4, 0.8)]
    made += [Set(f"{kind} {alpha}", scene_of(kind, alpha), 50) for kind, alpha in (("logo", 0.5), ("plate", 0.95))]
    made += [Set(f"text 0.4, N {count}", scene_of("text", 0.4), count) for count in (8, 14, 25)]
    made.append(Set("text 0.4, 85% white", scene_of("text", 0.4, white=0.85), 50))
    made.append(Set("text 0.4, jitter", scene_of("text", 0.4, jitter=3, strength=0.1), 50))
    made.append(Set("text 0.4 on a third", scene_of("text", 0.4, marked=0.33), 50))
    made += [Set(f"nothing shared, N {count}", scene_of("text", 0.0), count, marked=False) for count in (25, 50)]
    return made


def verdict(one: Set, train: Photos, scored: Photos, seed: int) -> tuple[str, float]:
    """What the rule does with a set, and the confidence."""
    rng = np.random.default_rng(seed)
    given = marked_set(one.scene, train.draw(rng, one.samples), rng)
    try:
        found = estimate(samples_of([picture.given for picture in given]))
    except TemplateRefused:
        return "refused", 0.0
    sure = [confidence(template.quality) for template in found.templates]
    right = one.marked and len(sure) == 1 and _right(one.scene, found.templates[0], scored, rng)
    passes = "passed" if RULE.passes(sure) else "held"
    return f"{passes}, {'right' if right else 'wrong'}", min(sure)


def _right(scene: Scene, template: Template, scored: Photos, rng: np.random.Generator) -> bool:
    ious, gains = [], []
    for one in marked_set(scene, scored.draw(rng, SCORED), rng):
        found = prepare(one.given, template, noise=2.0)
        if found is None or not (one.alpha > 0).any():
            continue
        true, zone = one.coverage >= 0.5, one.coverage > 0.02
        mask = shown_mask(one.given.shape[:2], template, found.sighting)
        ious.append(float((mask & true).sum() / max((mask | true).sum(), 1)))
        fill = cv2.inpaint(one.given, found.hole, 3, cv2.INPAINT_TELEA) if found.wants_fill else None
        cleaned = finish(found, fill).pixels.astype(np.float32)
        gains.append(psnr(cleaned, one.original, zone) - psnr(one.given.astype(np.float32), one.original, zone))
    return bool(ious) and float(np.mean(ious)) >= LEAST_IOU and float(np.mean(gains)) >= LEAST_GAIN_DB


def main() -> None:
    """Estimate, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("scored", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    train, scored = Photos(given.train), Photos(given.scored)
    told: list[dict[str, object]] = []
    counts: Counter[str] = Counter()
    for seed in range(given.seeds):
        for one in sets():
            what, sure = verdict(one, train, scored, seed)
            counts[what] += 1
            told.append({"set": one.name, "seed": seed, "verdict": what, "confidence": sure})
            print(f"{one.name}, seed {seed}: {what}, confidence {sure:.2f}", flush=True)
            if given.out is not None:
                report = {"least_confidence": RULE.min_confidence, "counts": dict(counts), "sets": told}
                given.out.write_text(json.dumps(report, indent=2) + "\n")
    print(dict(counts))


if __name__ == "__main__":
    main()
