"""Configuration and capabilities to plan. Pure: no clock, file, socket, environment or global."""
