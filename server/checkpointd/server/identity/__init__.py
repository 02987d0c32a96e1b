"""Who calls, and what they may: credentials, and the contract's table of what each rpc needs (access.proto).

Without `--auth` nothing of this runs.
"""
