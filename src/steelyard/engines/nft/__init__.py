"""Layer-4 balancing by nftables."""
