"""What a checkpoint means to the graph that made it: values, channels, tasks, snapshots, without the graph's code.

Pure: over the contract's messages, without storage. The rules are LangGraph's (1.2); each module says which part of it
they are taken from.
"""
