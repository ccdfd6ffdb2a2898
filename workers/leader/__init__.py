"""The leader's program: dispatches shards, reaps leases, closes jobs, delivers webhooks and mail, sweeps old data."""
