"""The consumers of the topics: each takes a decoded message, calls domain and adapters, and sends on."""
