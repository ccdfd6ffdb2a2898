"""Tenants: keys, quotas, uploads, requests that are done once."""
