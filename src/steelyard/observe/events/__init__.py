"""Events: what happened, kept in a log and told to subscribers."""
