"""What the probes of a worker say, and how they are served."""
