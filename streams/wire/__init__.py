"""The records on the wire: their types, and bytes to records and back. Knows no broker."""
