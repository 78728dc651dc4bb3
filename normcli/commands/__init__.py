"""The verbs as library functions: the public API, and all that the command line calls.

To add one: a module named after the verb, one function of that name with keyword-only options
and the defaults written there, and a line in `normcli/__init__.py`.
"""
