"""Work on this machine without a service: folders with a shared mark, weights of other projects."""
