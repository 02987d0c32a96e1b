"""Threads that change language: the same graphs in Python and in JavaScript, on one server."""
