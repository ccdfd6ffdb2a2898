"""Every query of the ledger, by subject: ``tenants``, ``jobs``, ``dispatch``, ``leases``, ``reaper``, ``deadlines``,
``pauses``, ``webhooks``, ``audit``, ``lifecycle``, ``quotas``, ``idempotency``.

A change of an image's state, its count (a row of ``job_deltas``), and the event that tells of it are one transaction.
Two transactions never wait for each other in a circle because all lock in the same order: images (by id), webhook
endpoints, jobs (by id), tenants.
"""
