"""The load generator's own process: `python -m tests.support.load_worker`, started by `tests.support.load`.

It reads one JSON line of settings, works until its standard input ends, and writes a JSON line of what it counted ten
times a second; the last line is the result.
"""
