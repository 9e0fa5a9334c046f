"""Runs: a plan is made first, worked off in shards, and scored from the shards."""
