"""The gate: a policy, a baseline, and what they say of measured checkpoints; no torch.

To demand something new, write a rule in `normcli.rules`: policies, explanations and reports of the
gate are made of `RULES`.
"""
