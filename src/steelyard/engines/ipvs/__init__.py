"""Layer 4 by IPVS: least connection, SIP persistence, direct return; what nftables cannot do."""
