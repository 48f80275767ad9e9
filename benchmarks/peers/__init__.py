"""Servers that a user could run instead, each with packages of its own: `make peers`."""
