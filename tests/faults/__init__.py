"""Nothing lost, nothing twice: the real processes under faults, judged by the sandbox's record."""
