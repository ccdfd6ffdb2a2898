"""Templates: requests, use by jobs, a person's decisions, and the leases under which workers make them."""
