"""Messages that could not be finished: why, where they are kept, how they come back."""
