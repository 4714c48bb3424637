"""Talking to ACME authorities, and having DNS records made for them."""
