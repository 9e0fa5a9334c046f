"""Ways to segment everything in an image, for any model that takes their prompts: grids of points, boxes of objects."""
