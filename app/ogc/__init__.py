"""Layers for GIS clients: OGC API - Features under /ogc, made of feature text stored with plans."""
