"""A recipe: all settings of a training run, in one TOML file that pydantic checks.

Recipes in ``recipes/`` are selected by name. Paths in a file are relative to it. The same recipe, seed and photos
give the same run; a checkpoint keeps the recipe that it was made with.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import RecipeRejected

RECIPES = Path(__file__).with_name("recipes")
Weight = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Network(_Part):
    """The network to train, and the description in its finished file."""

    architecture: str = "fourier-unet"
    configuration: dict[str, Any] = Field(default_factory=dict)
    #: Weights to begin from; ``shipped`` is the network that ships. Empty: from random numbers.
    start: str = ""
    source: str = ""
    licence: str = ""


class Data(_Part):
    """Crops of photos."""

    #: Folder of pictures or of packed shards; may be given on the command line instead.
    photos: str = ""
    #: Crops a step, and their side in px.
    batch: int = Field(default=16, ge=1)
    crop: int = Field(default=256, ge=48, multiple_of=16)
    #: Largest reduction of a crop, which removes the source's noise.
    most_reduction: float = Field(default=2.0, ge=1)
    #: Share of crops without reduction.
    as_is: float = Field(default=1 / 3, ge=0, le=1)
    #: Longest side of a picture; larger ones are reduced when they are read.
    longest: int = Field(default=768, ge=64)
    #: Number of decoded photos on the device, and number of steps until others replace them.
    held: int = Field(default=4096, ge=1)
    held_for: int = Field(default=500, ge=1)


class Masks(_Part):
    """The kinds of holes, and the share of careless ones."""

    #: Weights of the kinds: watermark-like ones, and the strokes and boxes of LaMa's paper.
    shares: dict[Literal["text", "logo", "tiled", "stroke", "narrow", "medium", "wide"], Weight] = Field(
        default={"text": 0.35, "logo": 0.15, "tiled": 0.15, "stroke": 0.1, "narrow": 0.1, "medium": 0.1, "wide": 0.05}
    )
    #: Number of marks that are drawn when a run begins; each step draws crops, turns and sizes of them.
    pool: int = Field(default=3000, ge=1)
    #: A file of drawn marks (``model.training.holes.write_pool``), for machines without OpenCV.
    drawn: str = ""
    #: Share of masks that are too narrow and leave half-transparent remains of the mark beside the hole.
    careless: float = Field(default=0.15, ge=0, le=1)


class Losses(_Part):
    """Weights of the losses (Suvorov et al., WACV 2022, section 2.3, and the rim's)."""

    missing: Weight = 1.0
    known: Weight = 1.0
    perceptual: Weight = 0.0
    adversarial: Weight = 0.0
    #: Distance of the discriminator's features.
    features: Weight = 0.0
    #: CIELAB distance of smoothed colours at the hole's rim.
    rim: Weight = 0.0
    #: R1: the discriminator's gradient on real pictures, in steps.
    penalty: Weight = 1.0
    penalty_every: int = Field(default=16, ge=1)


class Perceptual(_Part):
    """The network whose features the perceptual loss compares."""

    #: safetensors with VGG16's convolutions ``conv{0..12}`` and LPIPS's heads ``lin{0..4}``.
    weights: str = ""
    #: VGG's stages that are compared, and the first whose pooling is replaced by dilation: the field stays wide, the
    #: grid fine.
    stages: int = Field(default=5, ge=1, le=5)
    dilated_from: int = Field(default=4, ge=1, le=5)


class Discriminator(_Part):
    """A patch discriminator."""

    width: int = Field(default=64, ge=4)
    #: Halvings of the size.
    depth: int = Field(default=3, ge=1, le=5)


class Schedule(_Part):
    """The number of steps and the learning rates."""

    steps: int = Field(ge=1)
    rate: float = Field(default=1e-3, gt=0)
    discriminator_rate: float = Field(default=1e-4, gt=0)
    warmup: int = Field(default=100, ge=1)
    #: Share of the steps at the end in which the rates fall to zero.
    decay: float = Field(default=0.3, gt=0, le=1)
    #: Decay of the moving average of the weights.
    ema: float = Field(default=0.998, ge=0, lt=1)
    #: Norm that gradients are cut to.
    clip: float = Field(default=1.0, gt=0)

    def rate_share(self, step: int) -> float:
        """The factor on the rates at ``step``: it rises at the start and falls to zero at the end."""
        falling = self.steps * self.decay
        return min(1.0, (step + 1) / self.warmup, max(0.0, (self.steps - step) / falling))


class Logging(_Part):
    """A run's outputs, each with its interval in steps."""

    #: A checkpoint and a row of ``log.csv``.
    every: int = Field(default=100, ge=1)
    #: A sheet of samples, and how many are on it.
    sheet_every: int = Field(default=1000, ge=1)
    sheet_rows: int = Field(default=4, ge=1, le=16)


class Recipe(_Part):
    """A whole training run."""

    seed: int = 0
    #: Compute in bf16 where that is safe (autocast); the weights stay fp32. ``None``: if the device has units for it.
    bf16: bool | None = None
    #: Compile the networks (CUDA only).
    compile: bool = True
    network: Network = Network()
    data: Data = Data()
    masks: Masks = Masks()
    losses: Losses = Losses()
    perceptual: Perceptual = Perceptual()
    discriminator: Discriminator = Discriminator()
    schedule: Schedule
    logging: Logging = Logging()

    @property
    def is_adversarial(self) -> bool:
        """Whether the run trains a discriminator."""
        return self.losses.adversarial > 0 or self.losses.features > 0


def read_recipe(named: str) -> Recipe:
    """The recipe in the file ``named``, or the package's recipe of this name.

    Raises:
        RecipeRejected: it is missing or invalid.
    """
    path = Path(named)
    if not path.is_file():
        path = RECIPES / f"{named}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.toml")))
        raise RecipeRejected(f"There is no recipe {named}: give a TOML file, or one of {known}.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(table)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeRejected(f"{path} is not TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecipeRejected(f"{path}: {where}: {first['msg'].lower()}.") from None
    return _resolved(recipe, path.parent)


def _resolved(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with absolute paths, resolved from its folder."""

    def there(path: str) -> str:
        return str((folder / Path(path).expanduser()).resolve()) if path else ""

    start = recipe.network.start
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"photos": there(recipe.data.photos)}),
            "perceptual": recipe.perceptual.model_copy(update={"weights": there(recipe.perceptual.weights)}),
            "masks": recipe.masks.model_copy(update={"drawn": there(recipe.masks.drawn)}),
            "network": recipe.network.model_copy(update={"start": start if start == "shipped" else there(start)}),
        }
    )
