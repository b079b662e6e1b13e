"""Flow `open`: the RTL core behind the processing system of a Zynq-7000, with open tools only.

Experimental: nothing that it makes has been loaded on a board. Needs the extra `rtl`.
"""
