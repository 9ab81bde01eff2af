"""Spillway: models larger than the memory that they were given."""
