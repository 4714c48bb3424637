"""HAProxy text: configuration, runtime commands, server-state file, certificate lists."""
