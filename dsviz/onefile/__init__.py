"""A run as one HTML file: the same page, with what it would ask the server for inside, for a colleague with nothing installed."""
