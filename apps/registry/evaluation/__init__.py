"""What was measured of a version before it served anybody: tables, estimates and their doubt."""
