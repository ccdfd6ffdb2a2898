"""What is deleted, and when: jobs, uploads, deliveries, and then their blobs."""
