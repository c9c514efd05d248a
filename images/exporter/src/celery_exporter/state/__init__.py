"""What the events say, as bounded counters. No clock, no I/O: time comes with the events."""
