"""What would happen to a request, step by step, without sending it."""
