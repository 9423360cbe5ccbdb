"""Every query. Functions take a connection first, then arrays and dataclasses; none commits."""
