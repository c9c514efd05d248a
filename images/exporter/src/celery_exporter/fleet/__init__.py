"""The worker pods of a release, as Kubernetes and the workers in them tell."""
