"""What the host's network must have for a configuration."""
