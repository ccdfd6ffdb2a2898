"""Images: their dispatch, leases, ends, deadlines and what the reaper does."""
