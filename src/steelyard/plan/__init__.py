"""What the engines must have: typed, frozen values with stable keys. Compiled from a configuration, never edited."""
