"""Jobs: submission, reading, counts, cancel and retry, pauses, and reads for watchers."""
