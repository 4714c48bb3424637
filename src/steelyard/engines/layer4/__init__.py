"""Layer-4 balancing in the kernel: the contract of its drivers, and one in memory."""
