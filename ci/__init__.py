"""Clusters, images and the demonstration: what `make` calls."""
