"""The program of the leader: dispatch, reaping, sweeping, webhook delivery."""
