"""The way of an upload: from the body of the request to the stored file and its action."""
