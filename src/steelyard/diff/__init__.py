"""Two plans to ordered operations: what can be done at run time, and what needs a reload. Pure."""
