"""What runs on Kubernetes: manifests for kustomize, and `python -m k8s.rollout`."""
