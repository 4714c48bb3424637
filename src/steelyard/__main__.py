"""`python -m steelyard` is the program `steelyard`."""

from steelyard.cli.main import main

main()
