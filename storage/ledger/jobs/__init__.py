"""Jobs: submission and reading, counts, cancel, retry, delete, pauses, and what watchers ask."""
