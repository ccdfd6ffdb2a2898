"""What every process and every package above stands on: settings, logs, metrics, traces, names and files.

Nothing here imports another package of the project.
"""
