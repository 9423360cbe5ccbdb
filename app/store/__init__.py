"""Every query. Functions take a connection first, then arrays; nothing here commits."""
