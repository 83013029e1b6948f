"""Networks in use, from Python: load one, ask it, train one, export one. docs/using.md shows how."""
