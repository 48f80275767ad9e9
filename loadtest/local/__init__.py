"""Deployments as processes of this machine, compared with each other."""
