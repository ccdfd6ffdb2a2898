"""The program of a machine: one supervisor that starts and watches one process for each device."""
