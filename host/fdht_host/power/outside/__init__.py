"""Meters that are no part of a board: in its supply, on a bench, or a log that is read later.

from fdht_host.power.outside.naming import outside_meter

meter = outside_meter("scpi:192.168.1.5", {"dialect": "rigol-dp800"})  # names what is wrong
"""
