"""The guide's tables, measured on one machine."""
