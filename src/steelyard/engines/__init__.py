"""The edges: what carries traffic and what this host is. A Protocol, the real one and a faithful fake, side by side."""
