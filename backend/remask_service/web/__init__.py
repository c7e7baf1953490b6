"""The Flask application: routes, authentication, metrics, error answers."""
