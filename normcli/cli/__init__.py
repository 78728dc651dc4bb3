"""The terminal: arguments in, text and an exit code out; nothing is computed here.

To add a command: a module named after it with one function, its options taken from `options`,
and a line in `app.COMMANDS`. Only this room ends the process (`process`), and only it knows
typer. Nothing here imports torch, numpy, rich or a command before the arguments are understood.
"""
