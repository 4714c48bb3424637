"""nftables' own language: the only place that knows it."""
