"""Several worker processes for one server: a supervisor that keeps what they share, and replaces those that die."""
