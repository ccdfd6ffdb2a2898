"""The leader's program: dispatches shards, reaps leases, closes jobs, delivers webhooks, sweeps expired data."""
