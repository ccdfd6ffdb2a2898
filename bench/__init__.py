"""Measurements: every figure that the documentation quotes comes from a script here."""
