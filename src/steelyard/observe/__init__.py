"""State and statistics: what is, measured by the engines."""
