"""The rules, as pure functions of plain values: no settings, no clock, no database, no logging.

Every instant is an aware UTC datetime, `now` is always an argument, and a decision is a value: the ledger alone acts.
"""
