"""A simulated board under the real pynq package.

`SimulatedDevice` is a pynq `Device`: `Overlay`, `MMIO`, `allocate`, register maps, `DefaultIP`
and `Clocks` are pynq's own and run unchanged on it. Behind the core's real register map stands
the C simulation; time is virtual; the power of such a board is modelled.

    from fdht_host.simulator.device import SimulatedDevice

    device = SimulatedDevice()
    overlay = pynq.Overlay("build/demo/overlay/sim/csim/demo.bit", device=device)
"""
