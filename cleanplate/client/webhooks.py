"""For receivers of webhooks: is this post from Cleanplate, unchanged and fresh? (Standard Webhooks.)

::

    event = verify(secret, request.get_data(), request.headers)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from cleanplate.errors import WebhookRefused


def verify(secret: str, body: bytes | str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The event in a post's ``body`` (exactly as it came), once its signature holds and it is under 5 minutes old.

    ``secret`` is the webhook's (``whsec_…``). Keep the ids of what you have worked on: an event may come twice.

    Raises:
        WebhookRefused: do not believe it; answer 400.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        event: dict[str, Any] = Webhook(secret).verify(body, given)
    except WebhookVerificationError as error:
        raise WebhookRefused(str(error)) from None
    except ValueError:
        # A header or a body that no sender of ours would send.
        raise WebhookRefused("it is malformed") from None
    return event
