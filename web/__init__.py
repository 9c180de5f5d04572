"""The REST API: thin views over the domain and the adapters."""
