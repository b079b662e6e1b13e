"""Vivado: the block design as data, its Tcl, and its reports read back.

Nothing here has been run with the tool: what it relies on is AMD's user guides (UG835, UG994,
UG1118), public designs, and real reports.
"""
