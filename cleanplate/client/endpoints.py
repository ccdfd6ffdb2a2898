"""Webhook endpoints of a tenant and their deliveries: ``client.webhooks``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cleanplate.base.documents import JsonObject
from cleanplate.client.answers import DeliveryAnswer, DeliveryState, Recovered, WebhookAnswer
from cleanplate.client.calls import Calls

_PATH = "/v1/webhooks"


class Webhooks:
    """The tenant's webhook endpoints. Every method raises as the client's do."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(self, url: str, *, events: Sequence[str] | None = None, all_jobs: bool = False) -> WebhookAnswer:
        """Create an endpoint for the usual events or ``events``; only this answer holds its ``secret``.

        ``all_jobs``: every job from now on tells it.
        """
        body: JsonObject = {"url": url, "all_jobs": all_jobs} | ({} if events is None else {"events": list(events)})
        return self._calls.call(WebhookAnswer, "POST", _PATH, json=body, once=True)

    def list(self) -> Iterator[WebhookAnswer]:
        """All endpoints."""
        return self._calls.pages(WebhookAnswer, _PATH)

    def get(self, webhook_id: str) -> WebhookAnswer:
        """One endpoint."""
        return self._calls.call(WebhookAnswer, "GET", f"{_PATH}/{webhook_id}")

    def change(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        all_jobs: bool | None = None,
        enable: bool = False,
    ) -> WebhookAnswer:
        """Change an endpoint's address or events, or ``enable`` it after the service disabled it."""
        body: JsonObject = {} if url is None else {"url": url}
        if all_jobs is not None:
            body["all_jobs"] = all_jobs
        if events is not None:
            body["events"] = list(events)
        if enable:
            body["enabled"] = True
        return self._calls.call(WebhookAnswer, "PATCH", f"{_PATH}/{webhook_id}", json=body)

    def delete(self, webhook_id: str) -> None:
        """Delete an endpoint."""
        self._calls.delete(f"{_PATH}/{webhook_id}")

    def rotate(self, webhook_id: str, *, keep_s: int | None = None) -> WebhookAnswer:
        """Replace the secret; only this answer holds the new one. The previous one signs too for ``keep_s`` seconds."""
        params = {} if keep_s is None else {"keep_s": str(keep_s)}
        return self._calls.call(WebhookAnswer, "POST", f"{_PATH}/{webhook_id}/rotate", params=params, once=True)

    def ping(self, webhook_id: str) -> DeliveryAnswer:
        """Send a test event."""
        return self._calls.call(DeliveryAnswer, "POST", f"{_PATH}/{webhook_id}/ping", once=True)

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: DeliveryState | None = None,
        job_id: str | None = None,
        event: str | None = None,
    ) -> Iterator[DeliveryAnswer]:
        """An endpoint's deliveries, newest first; ``event`` is a type, or a kind (``image.*``)."""
        query = {"state": state, "job_id": job_id, "event": event}
        return self._calls.pages(DeliveryAnswer, f"{_PATH}/{webhook_id}/deliveries", query)

    def recover(self, webhook_id: str, *, since: datetime | None = None, after: str | None = None) -> int:
        """Send all failed deliveries again since a time, or behind a delivery; how many.

        Those that a disabled endpoint missed are among them: enable it first.
        """
        start = {"after": after} if since is None else {"since": since.astimezone().isoformat()}
        queued = 0
        while True:
            path = f"{_PATH}/{webhook_id}/recover"
            answer = self._calls.call(Recovered, "POST", path, json=start, once=True)
            queued += answer.queued
            if not answer.more:
                return queued

    def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryAnswer:
        """One delivery with all its attempts."""
        return self._calls.call(DeliveryAnswer, "GET", f"{_PATH}/{webhook_id}/deliveries/{delivery_id}")

    def redeliver(self, webhook_id: str, delivery_id: str) -> DeliveryAnswer:
        """Send a delivery again, under the same ``webhook-id``."""
        path = f"{_PATH}/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return self._calls.call(DeliveryAnswer, "POST", path, once=True)
