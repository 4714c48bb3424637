"""What an operator can say: frozen, validated values and the settings catalogue. No clock, file, socket or engine."""
