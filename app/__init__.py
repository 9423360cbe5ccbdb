"""Focus Patrol: where patrol went, where it is needed next, and proof of both."""
