"""The one error tree of ``workers``. Each error carries a stable ``code`` and a sentence a person can act on.

::

    WorkerError
    ├── LeaseLost        another worker may hold the image by now, or its job was canceled
    ├── Interrupted      the process stops, and the image is given back
    ├── ServerRefuses    a program cannot start: a server refuses, or does not answer
    ├── NoDevice         CUDA was asked for and there is none
    ├── UnknownDevice    --devices names a device that this machine does not have
    ├── AddressRefused   a webhook's URL that the service never posts to
    ├── ResidualMark     a mark still shows in the result, and the job does not accept that
    ├── TemplateGone     an image's template was deleted
    ├── TemplateUnmade   a template cannot be made of its sources
    ├── ModelMissing     the weights of the network are not on this machine
    ├── CoderLost        the process that read or wrote a picture died or took too long
    ├── CodersDown       no such process can be started
    ├── DestinationRefused      a result cannot be written where its job wants it
    ├── DestinationUnavailable  its bucket does not answer
    └── SourceError      a picture could not be fetched from its address
        ├── UrlNotAllowed       the service never fetches from this address
        ├── SourceRefused       the server refuses
        └── SourceUnavailable   the server does not answer, or asks to come back later
"""

from __future__ import annotations


class WorkerError(Exception):
    """The root: an error of this package that ends the work on an image, a template or a delivery."""

    code = "worker_error"
    #: Whether a retry may succeed without any change.
    transient = False


class LeaseLost(WorkerError):
    """This worker no longer holds the image or template; its work is dropped."""

    code = "lease_lost"

    def __init__(self, image_id: str) -> None:
        super().__init__(f"The lease of {image_id} is lost: its job was canceled, or no heartbeat got through in time.")


class Interrupted(WorkerError):
    """The process is stopping; the image or template is given back, and its attempt does not count."""

    code = "interrupted"

    def __init__(self) -> None:
        super().__init__("The worker is stopping; the image goes back to the queue.")


class ServerRefuses(WorkerError):
    """A program cannot start, because of its ledger, object store or queue."""

    code = "server_refuses"


class ServerSilent(ServerRefuses):
    """A server did not answer in time; it may answer later."""

    code = "server_silent"


class NoDevice(WorkerError):
    """``CLEANPLATE_DEVICE=cuda`` on a machine without a CUDA device."""

    code = "no_device"

    def __init__(self) -> None:
        super().__init__(
            "CLEANPLATE_DEVICE is cuda, but NVML finds no CUDA device: install the NVIDIA driver, or set it to cpu."
        )


class DevicesSilent(WorkerError):
    """This machine has GPUs, and none of them answers."""

    code = "devices_silent"

    def __init__(self, count: int) -> None:
        super().__init__(
            f"This machine has {count} GPUs, and none answers: nvidia-smi says more. Reset them or start the machine "
            "anew, or set CLEANPLATE_DEVICE to cpu."
        )


class UnknownDevice(WorkerError):
    """``--devices`` or ``CUDA_VISIBLE_DEVICES`` names a device that this machine does not have."""

    code = "unknown_device"

    def __init__(self, unknown: list[str], present: list[str]) -> None:
        super().__init__(f"There is no device {', '.join(unknown) or 'named'}; here are {', '.join(present)}.")


class AddressRefused(WorkerError):
    """A webhook's URL has an address or a scheme that the service never posts to."""

    code = "address_refused"


class ModelMissing(WorkerError):
    """A job asks for a network whose weights are not on this machine; another machine may have them."""

    code = "model_missing"
    transient = True


class CoderLost(WorkerError):
    """A coder died at a picture, or was killed because it took too long. The picture has one more attempt."""

    code = "coder_lost"

    def __init__(self, words: str) -> None:
        super().__init__(
            f"The process that reads and writes the image {words}: if that happens again, export the image again."
        )


class CodersDown(WorkerError):
    """No coder can be started on this machine; another machine may have some."""

    code = "coders_down"
    transient = True

    def __init__(self) -> None:
        super().__init__("The worker cannot start the processes that read and write images; its log says why.")


class ResidualMark(WorkerError):
    """The best result of a picture still shows its mark."""

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
    """No template can be made of the sources."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class DestinationRefused(WorkerError):
    """The bucket refuses the result, or the service may not write there any more."""

    code = "destination_refused"


class DestinationUnavailable(WorkerError):
    """The bucket does not answer; a later attempt may write the result."""

    code = "destination_unavailable"
    transient = True


class SourceError(WorkerError):
    """A picture by address could not be fetched. The sentence never holds the address, which may carry a secret."""

    code = "source_error"


class UrlNotAllowed(SourceError):
    """An address, a redirect or a bucket that the service never fetches from."""

    code = "url_not_allowed"


class SourceRefused(SourceError):
    """The server answered that the file does not exist, or refused it."""

    code = "source_refused"


class SourceUnavailable(SourceError):
    """The server did not answer, broke off, or asks to come back later."""

    code = "source_unavailable"
    transient = True
