"""Graphs of every kind, each with what is done to a thread of it: the checkpoints that this leaves are compared."""
