"""Addresses, links, routes and rules of the kernel, by netlink."""
