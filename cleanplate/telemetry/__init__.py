"""Logs, metrics and traces of the service's processes. The client and the commands that talk to a service need none.

``logs`` configures structured logging, ``meters`` declares the metrics, ``metrics`` serves them, ``tracing`` exports
spans.
"""
