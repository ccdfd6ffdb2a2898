"""The three programs that turn queued images into finished ones, and the parts that they share.

``leader``: ``cleanplate dispatch``, once per service. Fills the queue, reaps leases, closes jobs, delivers webhooks.
``machine``: ``cleanplate worker``, once per machine. Starts, watches and reports one process for each device.
``device``: the Celery process of one device. Leases shards and runs them; begin with ``device.images.pipeline``.
``shared``: the queue, guarded HTTP, heartbeats, stopping.
"""
