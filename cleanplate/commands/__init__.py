"""The commands of the command line: ``service`` (what runs), ``jobs`` (what customers do), ``inpaint`` (one picture, no
service), ``keys``, ``audit``, ``weights``, ``settings``, ``demo``.

A module here imports at its top only what its options need; the rest is imported when the command runs.
"""
