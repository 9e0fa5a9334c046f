"""Published numbers, and what comes of measuring them again. Reads tables as data and runs' result files alone."""
