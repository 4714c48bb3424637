"""`steelyard-health`: the one authority on whether a real server is up.

Pure parts (`scheduler`, `verdict`, `effects`, `steps`, `board`) take the time as an argument. The edges are the check
kinds, `pusher` (HAProxy), `files` (durable state) and `server` (the control socket).
"""
