"""The interfaces programs use. Only this layer and `web` know HTTP; they build commands and read snapshots."""
