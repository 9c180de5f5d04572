"""What tests share: factories, stand-ins, servers, workers, clients and assertions, a module for each."""
