"""For operators: the audit log, devices, queues."""
