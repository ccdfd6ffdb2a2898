"""Webhooks: endpoints, the outbox, and deliveries."""
