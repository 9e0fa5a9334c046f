"""One image asked of several models: what they answer, drawn, written and timed."""
