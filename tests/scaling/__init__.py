"""Scaling out, shown: deliver workers on machines of their own share one Redis, one PostgreSQL and one limit."""
