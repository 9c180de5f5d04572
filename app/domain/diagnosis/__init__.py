"""What is wrong with an installation: rules that judge what was found out about each part of it, in one line each."""
