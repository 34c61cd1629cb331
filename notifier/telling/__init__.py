"""What people are told who ask: stories, dry runs, lanes, consents, as plain values. The command line prints them, the
gateway sends them; neither adds a word."""
