"""The base of every process: settings, names, files, child processes, and the home folder.

It imports no other part of the project but ``cleanplate.errors``, and no third-party package but pydantic.
"""
