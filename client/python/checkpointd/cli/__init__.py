"""The command `checkpointd`: looking into threads, and changing them, on a running server.

It is a client like any other, on `checkpointd.client`. `checkpointd serve` and `checkpointd health` belong to the
server and are handed to it. Needs the extra `checkpointd[cli]`, which is part of `checkpointd[server]`.
"""
