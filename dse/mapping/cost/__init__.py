"""The closed-form cost of one mapping: what tiles hold and move, cycles, latency and energy.

Functions over numbers, compiled into the searches of other rooms.
"""
