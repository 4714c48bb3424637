"""Steelyard: an application delivery controller that answers LoadMaster's API, on HAProxy and the Linux kernel."""

__version__ = "0.1.0"
