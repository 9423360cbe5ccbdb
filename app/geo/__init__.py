"""The pipe's pure stages, in order.

grid, fixes, dwell, risk, priority, zones, visits, geojson, accuracy; what else is here serves one
of them.
"""
