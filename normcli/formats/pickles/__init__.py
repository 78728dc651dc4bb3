"""Pickles read without running them: a symbolic machine, and the inert nodes that it makes.

To interpret one more name: a function in `globals` or `tensors`, and a line in `CALLS`.
"""
