"""The mean of two networks that come from one start: often better than either (Wortsman et al., ICML 2022).

    python -m model.training.averaging FIRST SECOND OUT --share 0.6

The written file has the description of the first one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from model.errors import RecipeRejected
from model.networks.weights import load_network, save_state


def average(first: Path, second: Path, out: Path, *, share: float) -> None:
    """Write the mean of two weights files to ``out``: ``share`` of ``second``, and the description of ``first``.

    Raises:
        RecipeRejected: they are of two networks.
        WeightsRejected: one is not a weights file.
    """
    (one, description), (other, theirs) = load_network(first), load_network(second)
    if (description.architecture, description.configuration) != (theirs.architecture, theirs.configuration):
        raise RecipeRejected(f"{first} and {second} are of two networks: their mean is of none.")
    ours, others = one.state_dict(), other.state_dict()
    mean = {
        name: torch.lerp(value, others[name], share) if value.is_floating_point() else value
        for name, value in ours.items()
    }
    save_state(mean, description, out, dtype=torch.float16)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m model.training.averaging", description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second (default: %(default)s)")
    options = parser.parse_args()
    average(options.first, options.second, options.out, share=options.share)


if __name__ == "__main__":
    main()
