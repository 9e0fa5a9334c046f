"""Reports: they read a run's files and nothing else."""
