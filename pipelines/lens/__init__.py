"""Strong gravitational lensing: profiles, images, the linear multi-Gaussian likelihood, the basin search and the `lens` pipeline.

Coordinates: x right, y up, arcsec; images are (n_y, n_x) with row 0 at the bottom; angles are anticlockwise from +x.
"""
