"""The kernel's part in source addresses: nftables and a rule of policy routing."""
