"""Templates: as tenants see them, as jobs use them, as workers make them."""
