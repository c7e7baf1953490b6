"""The public face of remask; docs/api.md lists what is here."""
