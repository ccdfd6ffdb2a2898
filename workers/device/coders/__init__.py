"""The work on bytes of strangers, in processes beside the device's: begin with ``pool``.

``work`` is what they may be asked for, ``wire`` how question and answer go between two processes, ``server`` the
program that forks them.
"""
