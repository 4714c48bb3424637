"""HAProxy: its files, its process, its sockets."""
