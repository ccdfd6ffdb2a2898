"""For receivers of webhooks: is this post from Cleanplate, unchanged and fresh? (Standard Webhooks.)

::

    event = verify(secret, request.get_data(), request.headers)
"""

from __future__ import annotations

from collections.abc import Mapping

from cleanplate.base.documents import JsonObject
from cleanplate.errors import ExtraMissing, WebhookRefused


def verify(secret: str, body: bytes | str, headers: Mapping[str, str]) -> JsonObject:
    """The event in a post's ``body`` (byte for byte), if its signature holds and it is less than 5 minutes old.

    ``secret`` is the webhook's (``whsec_…``). Keep the ids of processed events: an event may come twice.

    Raises:
        WebhookRefused: do not trust it; answer 400.
        ExtraMissing: this machine lacks the extra ``webhooks``.
    """
    try:
        from standardwebhooks import Webhook, WebhookVerificationError
    except ModuleNotFoundError:
        raise ExtraMissing("`cleanplate.verify`", ["webhooks"]) from None

    lower_case_headers = {name.lower(): value for name, value in headers.items()}
    try:
        event: JsonObject = Webhook(secret).verify(body, lower_case_headers)
    except WebhookVerificationError as error:
        raise WebhookRefused(str(error)) from None
    except ValueError:
        # A malformed header or body, as the service never sends one.
        raise WebhookRefused("it is malformed") from None
    return event
