"""Exactly one schedule, in Redis or in a file, patient with what is away."""
