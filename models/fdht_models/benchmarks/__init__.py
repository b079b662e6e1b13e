"""Measurements of speed on this machine, side by side with other programs: `fdht bench`.

`train` compares training steps. Each contestant has a process of its own, which is idle while
another one's turn is timed.
"""
