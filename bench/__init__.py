"""Datasets, protocols, metrics, runs, latency, reports and the command line."""

__version__ = "0.1.0"
