"""The one road every change takes, start-up and recovery, snapshots, events."""
