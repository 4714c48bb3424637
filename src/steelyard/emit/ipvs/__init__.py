"""What stands beside IPVS in nftables."""
