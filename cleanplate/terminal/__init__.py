"""What commands share that talk to a service: the connection, progress of a submission, a review, tables."""
