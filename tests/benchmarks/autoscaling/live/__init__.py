"""The burst from zero and the kill trap on a real cluster."""
