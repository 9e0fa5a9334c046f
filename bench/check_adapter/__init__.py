"""Proving an adapter on tiny drawn scenes: all that its card declares, each in turn, up to the first thing wrong."""
