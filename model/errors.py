"""The one error tree of ``model``. Each error carries a stable ``code`` and a sentence a person can act on."""

from __future__ import annotations

from pathlib import Path


class ModelError(Exception):
    """The root: anything that ``model`` refuses."""

    code = "model_error"


class TrainingDiverged(ModelError):
    """The loss is no longer finite."""

    code = "training_diverged"

    def __init__(self, step: int, checkpoint: Path) -> None:
        super().__init__(
            f"the loss is not finite at step {step}; the last good state is in {checkpoint}: "
            "go on from it with a lower learning rate"
        )
