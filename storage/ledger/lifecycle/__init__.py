"""The life of an image and of a job: every state that they can be in, and every way from one state to another.

``transitions`` is the table. ``images`` and ``jobs`` are the only modules that write a state; all others call them.
``python -m storage.ledger.lifecycle`` prints the drawing in docs/architecture.md, which is generated from the table.
"""
