"""The gRPC facade over the engine: handlers, the way calls are guarded, configuration, the command line."""
