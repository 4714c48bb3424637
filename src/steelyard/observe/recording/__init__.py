"""Statistics over time: recorded every ten seconds, condensed for the day, week, month and year."""
