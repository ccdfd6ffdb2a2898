"""The commands of the command line, one module for each subject.

A module imports at its top only what its options need; the command imports the rest when it runs. ``extras`` checks
the extras that a command needs.
"""
