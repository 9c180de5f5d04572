"""What operators see of a worker: its log and its figures."""
