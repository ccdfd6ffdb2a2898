"""Images: their dispatch, leases, ends, deadlines and the reaper."""
