"""Moves an InferenceService from one version to another, and back where that fails."""
