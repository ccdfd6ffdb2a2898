"""The one error tree of ``model``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    ModelError
    ├── ImageRejected      image_unreadable, image_truncated, image_empty, image_too_large, image_too_many_pixels,
    │                      image_format_unsupported, image_mode_unsupported, image_output_unsupported,
    │                      image_needs_too_much_memory, image_too_many_parts, image_takes_too_long
    ├── ResultDiffers      result_differs
    ├── MaskRejected       mask_unreadable, mask_size_mismatch, mask_empty, mask_covers_nearly_all,
    │                      mask_too_many_parts
    ├── WeightsRejected    weights_unreadable, weights_mismatch
    │   └── UnknownNetwork
    ├── TemplateRejected   template_unreadable, template_version_unknown
    ├── TemplateRefused    samples_too_few, mark_not_found, template_unproven, mark_of_goods
    ├── TextReaderMissing  text_marks_missing (transient: another worker may have it)
    ├── EngineClosed       engine_closed (transient)
    ├── DeviceFull         device_out_of_memory (transient)
    │   └── HostFull       (the same)
    ├── DeviceLost         device_lost (transient)
    ├── DeviceUnusable     device_unusable
    ├── ResultNotFinite    result_not_finite
    └── TrainingStopped    training_stopped
        ├── RecipeRejected, PhotosMissing, CheckpointRejected
        ├── CheckpointUnwritten   checkpoint_unwritten
        ├── TrainingDiverged      training_diverged
        └── TrainingInterrupted   training_interrupted
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Self


class ModelError(Exception):
    """The root: anything that ``model`` refuses."""

    code = "model_error"
    #: Whether the same call may succeed later, or elsewhere, without any change.
    transient = False


class ImageRejected(ModelError):
    """A picture that cannot be worked on."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class MaskRejected(ModelError):
    """A mask that does not fit its picture."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class ResultDiffers(ModelError):
    """A written file that, read back, is not what was to be written."""

    code = "result_differs"

    def __init__(self, format_name: str, similarity_db: float | None = None) -> None:
        measured = "" if similarity_db is None else f" ({similarity_db:.1f} dB)"
        super().__init__(
            f"The result, read back, differs from the picture where nothing may change{measured}: it is not handed "
            f"out. Save the picture in another format than {format_name}, or report it with the picture."
        )


class WeightsRejected(ModelError):
    """A file that is not a network's weights, or another network's."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class UnknownNetwork(WeightsRejected):
    """Tensors or a configuration of no network known here; the sentence does not know their file."""

    def __init__(self, sentence: str) -> None:
        super().__init__("weights_mismatch", sentence)


class TemplateRejected(ModelError):
    """A file that is not a template."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class TextReaderMissing(ModelError):
    """The text reader is not installed on this machine; another worker may have it."""

    code = "text_marks_missing"
    transient = True

    def __init__(self, packages: list[str]) -> None:
        super().__init__(
            f"Text marks are found by packages that are missing here ({', '.join(packages)}): install them with "
            "pip install 'cleanplate[text]'."
        )


#: The ways that remain where pictures give no template.
WAYS = (
    "Other ways: `cleanplate template from-logo LOGO.png FOLDER` with the logo's file, `cleanplate template from-mark` "
    "with the mark painted over in one picture, `cleanplate submit FOLDER --text WORDS` for a text, or a painted mask."
)


class TemplateRefused(ModelError):
    """Pictures that give no template, or no reliable one."""

    def __init__(self, code: str, sentence: str, needed: int = 0, **params: str | int) -> None:
        super().__init__(sentence)
        self.code = code
        #: How many more samples are needed, where that is known.
        self.needed = needed
        #: The figures of the sentence.
        self.params = {**params, "needed": needed} if needed else params

    @classmethod
    def too_few(cls, samples: int, wanted: int) -> Self:
        """Too few pictures for anything."""
        more = wanted - samples
        return cls(
            "samples_too_few",
            f"{samples} different pictures are too few to find a mark in: at least {more} more are needed. {WAYS}",
            more,
        )

    @classmethod
    def uninformed(cls, known: float, samples: int, wanted: int) -> Self:
        """Too few of the pictures show the mark over something else than its own colour."""
        more = max(1, math.ceil((wanted / max(known, 0.5) - 1) * samples))
        return cls(
            "samples_too_few",
            f"Only {known:.0f} of {samples} pictures say something about a pixel of the mark; {wanted} are wanted: "
            f"about {more} more pictures like these are needed. {WAYS}",
            more,
            known=round(known),
            samples=samples,
        )

    @classmethod
    def logo_unseen(cls, pictures: int) -> Self:
        """No picture shows the logo."""
        return cls(
            "mark_not_found",
            f"The logo was found in none of {pictures} pictures, in any size from .3 to 3 of its file and in four "
            "colours. Cut its file to the mark as the pictures show it; or paint the mark over in one picture and use "
            "`cleanplate template from-mark`.",
        )

    @classmethod
    def unproven(cls, tested: int, found: int, clean: int) -> Self:
        """The template fails on its own samples."""
        return cls(
            "template_unproven",
            f"The template was found again in {found} of {tested} of its own pictures, and {clean} were clean "
            f"after its removal: it is not the mark, or not all of it. {WAYS}",
            tested=tested,
            found=found,
            clean=clean,
        )

    @classmethod
    def of_goods(cls, pictures: int, over_ground: int, over_goods: int, opacity: float) -> Self:
        """What pictures share at another place in each may be printed on the goods, or be a thing in the pictures."""
        return cls(
            "mark_of_goods",
            f"{pictures} pictures share something that lies at another place in each, and that may belong to the goods "
            f"or repeat in each picture: it lies over the background in {over_ground} of them, over the goods alone in "
            f"{over_goods}, with an opacity of {opacity:.2f}. A mark lies over both, lets them through and shows once. "
            f"{WAYS}",
            pictures=pictures,
            over_ground=over_ground,
            over_goods=over_goods,
        )

    @classmethod
    def nothing(cls, samples: int, wanted: int) -> Self:
        """The pictures share no mark, or are too few for it to stand out."""
        more = max(0, wanted - samples)
        few = f" In so few a faint one cannot be told: at least {more} more are needed." if more else ""
        return cls("mark_not_found", f"{samples} pictures share no mark that stands out from chance.{few} {WAYS}", more)


class EngineClosed(ModelError):
    """The engine takes no more tiles."""

    code = "engine_closed"
    transient = True

    def __init__(self) -> None:
        super().__init__("The engine is closed: make a new one.")


class DeviceFull(ModelError):
    """The smallest tile fits neither the device nor, on its behalf, the CPU."""

    code = "device_out_of_memory"
    transient = True

    def __init__(self, device: str) -> None:
        super().__init__(f"Neither {device} nor the CPU beside it had memory for the smallest tile.")


class HostFull(DeviceFull):
    """The limits of the process leave too little memory for the picture."""

    def __init__(self) -> None:
        ModelError.__init__(self, "The worker's process may not allocate the memory that the picture needs.")


class DeviceLost(ModelError):
    """The device failed for good; a new process may find it well again."""

    code = "device_lost"
    transient = True

    def __init__(self, device: str) -> None:
        super().__init__(f"The device {device} failed while it worked on the image.")


class DeviceUnusable(ModelError):
    """PyTorch cannot use the device that was asked for."""

    code = "device_unusable"

    def __init__(self, device: str) -> None:
        super().__init__(
            f"PyTorch cannot use {device}: `cleanplate doctor` tells whether its build and the driver fit the GPU. "
            "The CPU is used only if it is asked for."
        )


class ResultNotFinite(ModelError):
    """The network gave values that are not numbers, in fp32 too."""

    code = "result_not_finite"

    def __init__(self) -> None:
        super().__init__("The network's result is not finite, in fp32 too: the weights do not suit this picture.")


class TrainingStopped(ModelError):
    """A run that cannot continue; its last good checkpoint is kept."""

    code = "training_stopped"


class RecipeRejected(TrainingStopped):
    """A missing recipe, or one with an impossible value."""

    code = "recipe_rejected"


class PhotosMissing(TrainingStopped):
    """No photos to train on."""

    code = "photos_missing"


class CheckpointRejected(TrainingStopped):
    """A checkpoint that cannot be read, or another network's."""

    code = "checkpoint_rejected"


class CheckpointUnwritten(TrainingStopped):
    """The disk took no checkpoint: it is full, or gone."""

    code = "checkpoint_unwritten"

    def __init__(self, step: int, checkpoint: Path, reason: str) -> None:
        super().__init__(
            f"The checkpoint of step {step} could not be written ({reason}). {standing(checkpoint)} "
            "Make room and run the same command: it goes on from there."
        )


class TrainingDiverged(TrainingStopped):
    """The loss is no longer finite."""

    code = "training_diverged"

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"The loss is not finite at step {step}. {standing(checkpoint)} "
            "Lower schedule.rate in the recipe and run the same command: it goes on from there."
        )


class TrainingInterrupted(TrainingStopped):
    """The run was asked to stop."""

    code = "training_interrupted"

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"Stopped after step {step}, as asked. {standing(checkpoint)} Run the same command: it goes on from there."
        )


def standing(checkpoint: Path) -> str:
    """A sentence about the last checkpoint on the disk."""
    return f"The last good state is in {checkpoint}." if checkpoint.exists() else "There is no checkpoint yet."
