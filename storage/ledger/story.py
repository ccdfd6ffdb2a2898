"""Lines of the log that name images: with them, a search for an image's id finds each step of its life."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: Images named in one line of the log.
_IMAGES_PER_LINE = 100


def log_images(write: Callable[..., object], event: str, image_ids: Sequence[str], **facts: object) -> None:
    """Logs the ids of all images, in as many lines as they need."""
    for start in range(0, len(image_ids), _IMAGES_PER_LINE):
        write(event, images=image_ids[start : start + _IMAGES_PER_LINE], **facts)
