"""What a server tells of itself: metrics, traces, logs, and whether it is ready."""
