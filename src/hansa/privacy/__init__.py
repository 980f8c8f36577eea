"""What keeps a site's rows its own: secure aggregation, differential privacy and its accounting."""
