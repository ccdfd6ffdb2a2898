"""The parts that the leader, the machine and the device programs share."""
