"""The one error tree of ``workers``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    WorkerError
    ├── LeaseLost        another may hold the image by now, or its job was canceled
    ├── Interrupted      the process is to stop, and the image goes back unharmed
    ├── NoDevice         CUDA was asked for and there is none
    ├── UnknownDevice    --devices names one that is not here
    ├── AddressRefused   a webhook's URL that is never posted to
    ├── ResidualMark     a mark still shows in a picture, and its job does not want it so
    ├── TemplateGone     an image's template was deleted
    ├── TemplateUnmade   a template cannot be made of what was given
    ├── ModelMissing     a network that was asked for and is not on this machine
    └── SourceError      a picture could not be fetched from where it is said to be
        ├── UrlNotAllowed       nothing is ever fetched from there
        ├── SourceRefused       its server says no
        └── SourceUnavailable   its server does not answer, or says later
"""

from __future__ import annotations


class WorkerError(Exception):
    """The root: anything that ends the work on an image or a delivery from within this package."""

    code = "worker_error"
    #: Whether the same may succeed later without anybody changing anything.
    transient = False


class LeaseLost(WorkerError):
    """This worker no longer holds the image; whatever it made is dropped."""

    code = "lease_lost"

    def __init__(self, image_id: str) -> None:
        super().__init__(f"The lease of {image_id} is lost: its job was canceled, or no heartbeat got through in time.")


class Interrupted(WorkerError):
    """The process is stopping; the image is given back and counts as never begun."""

    code = "interrupted"

    def __init__(self) -> None:
        super().__init__("The worker is stopping; the image goes back to the queue.")


class NoDevice(WorkerError):
    """``CLEANPLATE_DEVICE=cuda`` on a machine without a CUDA device."""

    code = "no_device"

    def __init__(self) -> None:
        super().__init__(
            "CLEANPLATE_DEVICE is cuda, but NVML finds no CUDA device: install the NVIDIA driver, or set it to cpu."
        )


class UnknownDevice(WorkerError):
    """``--devices`` names a device that this machine does not have."""

    code = "unknown_device"

    def __init__(self, unknown: list[str], present: list[str]) -> None:
        super().__init__(f"There is no device {', '.join(unknown) or 'named'}; here are {', '.join(present)}.")


class AddressRefused(WorkerError):
    """A webhook's URL leads to an address, or over a scheme, that is never posted to."""

    code = "address_refused"


class ModelMissing(WorkerError):
    """A job asks for a network whose weights are not on this machine; another worker's may have them."""

    code = "model_missing"
    transient = True


class ResidualMark(WorkerError):
    """The best that was made of a picture still shows its mark."""

    code = "residual_mark"

    def __init__(self, ghost: float) -> None:
        super().__init__(
            f"The mark still shows after all that was tried (ghost score {ghost:.2f}). Give the picture a mask of its "
            "own, or take it as it is with the option residual_mark: flag."
        )


class TemplateGone(WorkerError):
    """The template was deleted after the job had ended, and the image is tried again."""

    code = "template_gone"

    def __init__(self, template_id: str) -> None:
        super().__init__(f"The template {template_id} was deleted: submit the picture again with another.")


class TemplateUnmade(WorkerError):
    """What a template is to be made of does not do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class SourceError(WorkerError):
    """A picture that is not in the blob store could not be fetched. The sentence never holds its address."""

    code = "source_error"


class UrlNotAllowed(SourceError):
    """An address, a redirect, or a bucket that nothing is fetched from."""

    code = "url_not_allowed"


class SourceRefused(SourceError):
    """The server answered that there is no such file, or that it may not be had."""

    code = "source_refused"


class SourceUnavailable(SourceError):
    """The server did not answer, broke off, or says to come back later."""

    code = "source_unavailable"
    transient = True
