"""Every query of the ledger, in rooms by subject.

``lifecycle`` moves images and jobs from state to state; all others call it. ``images`` holds dispatch, leases, finish,
reaper and deadlines; ``jobs`` submission, reading, changes and pauses; ``retention`` deletion. ``templates``,
``webhooks`` and ``tenants`` hold the queries of these subjects; ``operations`` those for operators: audit log, devices,
queues.

A change of an image's state, its count (a row of ``job_deltas``), and its event are one transaction. All transactions
lock in the same order, so that none waits for another in a circle: images (by id), webhook endpoints, the tenant's
usage, jobs (by id), tenants.
"""
