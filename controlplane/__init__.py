"""Settings, wiring and processes; nothing about the domain."""
