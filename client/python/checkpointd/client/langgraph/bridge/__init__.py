"""Threads that change language: what LangGraph.js wrote, made into what LangGraph for Python looks for.

Both know a task by a hash of where it comes from, but not by the same one, and they name a subgraph's namespace and an
interrupt after it. Here the ids of one are found again as those of the other. What is stored stays as it was written.
"""
