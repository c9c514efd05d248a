"""What workers and beat write: one JSON object a line, without secrets."""
