"""Metrics: from masks, detections and per-instance numbers to the numbers of a table. They know no models."""
