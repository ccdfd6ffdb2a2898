"""The machine's program: one supervisor that starts, watches and reports one process for each device."""
