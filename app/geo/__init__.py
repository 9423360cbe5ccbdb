"""The pipe's pure stages, in order: grid, fixes, dwell, risk, priority, zones, geojson, accuracy."""
