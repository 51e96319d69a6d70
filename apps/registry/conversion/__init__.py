"""Foreign code and foreign models run here, apart from everything; see docs/concepts/sandbox.md."""
