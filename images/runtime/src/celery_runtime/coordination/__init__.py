"""What workers agree on through Redis: work that is done once, a rate that is kept together."""
