"""Revisions of the configuration, secrets and the audit log: the promise in `contract`, kept on SQLite or in memory."""
