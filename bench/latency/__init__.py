"""Latency: how long each stage of a model takes, from a fresh process, with every sample kept.

Knows models through their prompt interface; knows no ground truth and no metric.
"""
