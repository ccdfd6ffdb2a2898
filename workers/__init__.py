"""What turns queued images into finished ones, and everything that keeps that going.

A worker machine: ``supervisor`` starts one ``process`` per device, whose Celery child runs ``tasks.inpaint_shard``;
begin with ``pipeline``. Beside the ledger: ``dispatcher`` (fills the queue, reaps leases, closes jobs), ``webhooks``.
"""
