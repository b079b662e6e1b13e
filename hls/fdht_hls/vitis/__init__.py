"""Vitis HLS: its project, its runs, and its reports read back into the layout of the estimate.

Needs neither TensorFlow nor hls4ml, so that a machine with Vitis needs only this and NumPy. Nothing
here has been run with the tool: what it relies on is the user guide (UG1399) and real reports.
"""
