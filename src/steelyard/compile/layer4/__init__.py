"""Layer-4 services: from a configuration to what the kernel's drivers take."""
