"""The life of an image, of a job and of a template: their states, and every way from one state to another.

``transitions`` is the table. ``images``, ``jobs`` and ``templates`` are the only modules that write a state; all others
call them. ``python -m storage.ledger.lifecycle`` prints the drawing in docs/architecture.md, which is generated from
the table.
"""
