"""Deletes jobs, uploads and deliveries, and notes their blobs for the sweeper."""
