"""The demo: the simulated town loaded as any town would be, planned, served, and kept moving."""

from app.demo.run import demo

__all__ = ["demo"]
