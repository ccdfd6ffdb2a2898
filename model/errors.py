"""The one error tree of ``model``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    ModelError
    ├── ImageRejected      image_unreadable, image_truncated, image_empty, image_too_large, image_too_many_pixels,
    │                      image_format_unsupported, image_mode_unsupported, image_output_unsupported,
    │                      image_needs_too_much_memory
    ├── MaskRejected       mask_unreadable, mask_size_mismatch, mask_empty
    ├── WeightsRejected    weights_unreadable, weights_mismatch
    │   └── UnknownNetwork
    ├── EngineClosed       engine_closed (transient)
    ├── ResultNotFinite    result_not_finite
    └── TrainingDiverged   training_diverged
"""

from __future__ import annotations

from pathlib import Path


class ModelError(Exception):
    """The root: anything that ``model`` refuses."""

    code = "model_error"
    #: Whether the same call may succeed later, or elsewhere, without anybody changing anything.
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


class WeightsRejected(ModelError):
    """A file that is not a network's weights, or another network's."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class UnknownNetwork(WeightsRejected):
    """Tensors or a configuration of no network known here; the sentence does not know their file."""

    def __init__(self, sentence: str) -> None:
        super().__init__("weights_mismatch", sentence)


class EngineClosed(ModelError):
    """The engine takes no more tiles."""

    code = "engine_closed"
    transient = True

    def __init__(self) -> None:
        super().__init__("The engine is closed: make a new one.")


class ResultNotFinite(ModelError):
    """The network gave values that are not numbers, in fp32 too."""

    code = "result_not_finite"

    def __init__(self) -> None:
        super().__init__("The network's result is not finite, in fp32 too: the weights do not suit this picture.")


class TrainingDiverged(ModelError):
    """The loss is no longer finite."""

    code = "training_diverged"

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"the loss is not finite at step {step}; the last good state is in {checkpoint}: "
            "go on from it with a lower learning rate"
        )
