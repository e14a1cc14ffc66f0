"""Energy and area of arithmetic: multipliers, adders, MACs, vector-lane operations.

Energies are switched-capacitance coefficients (J/V^2): energy = coefficient x V^2. An operation
is anchored at 45 nm and 7 nm (Horowitz, Jouppi) and follows the node's logic capacitance C to a
power of its own between and before the anchors (so no jump), and C itself below 7 nm, where no
table of operations exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dse.errors import InputError
from dse.technology.device import DeviceModel
from dse.technology.facts import FactBase

#: Integer formats and their bits.
INTEGER_FORMATS: dict[str, int] = {"int2": 2, "int4": 4, "int8": 8, "int16": 16, "int32": 32}
#: Float formats: (bits, bits of the significand with its hidden one).
FLOAT_FORMATS: dict[str, tuple[int, int]] = {
    "fp8": (8, 4),
    "fp16": (16, 11),
    "bf16": (16, 8),
    "fp32": (32, 24),
}
FORMATS: tuple[str, ...] = (*INTEGER_FORMATS, *FLOAT_FORMATS)


def format_bits(name: str) -> int:
    """Storage bits of a number format; InputError lists the known ones."""
    if name in INTEGER_FORMATS:
        return INTEGER_FORMATS[name]
    if name in FLOAT_FORMATS:
        return FLOAT_FORMATS[name][0]
    raise InputError(
        f"unknown number format {name!r}", field="format", mend=f"one of {', '.join(FORMATS)}"
    )


@dataclass(frozen=True)
class Anchor:
    """Coefficients (J/V^2) at 45 nm and 7 nm."""

    coarse: float
    fine: float

    def __add__(self, other: Anchor) -> Anchor:
        return Anchor(self.coarse + other.coarse, self.fine + other.fine)

    def times(self, factor: float) -> Anchor:
        """Both ends times a factor."""
        return Anchor(self.coarse * factor, self.fine * factor)


class DatapathModel:
    """Coefficients (J/V^2) and gate counts of the datapath of every node."""

    def __init__(self, facts: FactBase, device: DeviceModel) -> None:
        self._c = device.capacitance
        self._facts = facts
        volts = facts.table("datapath", "anchor_voltage_v")
        self._per_v2 = (1e-12 / volts["45"] ** 2, 1e-12 / volts["7"] ** 2)
        self._mult = facts.table("datapath", "int_mult_pj")
        self._add = facts.table("datapath", "int_add_pj")
        self._fp_mult = facts.table("datapath", "fp_mult_pj")
        self._fp_add = facts.table("datapath", "fp_add_pj")
        self._fp8_exponent = facts.table("datapath", "fp8_exponent_pj")
        number = facts.number
        self.fused_add_share = number("datapath", "fused_add_share")
        self.dot_width = number("datapath", "dot_width")
        self.register_c40 = number("datapath", "register_pj_bit_40") * 1e-12 / 0.9**2
        self.register_activity = number("datapath", "register_activity")
        self.local_overhead = number("datapath", "local_overhead")
        self.vector_overhead = number("datapath", "vector_overhead")
        self.rf_slope = number("datapath", "register_file_slope")
        self._operations = {
            name: facts.table("operations", name) for name in facts.names("operations")
        }
        self._mac: dict[tuple[int, str, str, int, float], float] = {}
        self._op: dict[tuple[int, str, int, str | None], float] = {}
        self._init_area()

    def _init_area(self) -> None:
        number = self._facts.number
        claims = self._facts.series("nodes", "density_claim")
        share = number("datapath", "area_claim_exponent")
        self.density = {node: math.pow(gain, share) for node, gain in claims.items()}
        gate28 = number("datapath", "nand2_um2_28") * 1e-6
        utilisation = min(number("datapath", "cell_utilisation"), 0.95)
        self.gate_mm2 = {node: gate28 / (utilisation * gain) for node, gain in self.density.items()}
        self._g_mult = number("datapath", "gates_mult_per_bit2")
        self._g_add = number("datapath", "gates_add_per_bit")
        self._g_flop = number("datapath", "gates_flop_per_bit")
        self._g_fp_add = self._facts.table("datapath", "gates_fp_add")
        self._g_fp_exp = self._facts.table("datapath", "gates_fp_exponent")
        self._g_control = number("datapath", "control_gate_share")
        self.rf_gates_per_bit = number("datapath", "register_area_gates_per_bit")

    # energy coefficients

    def at_node(self, node: int, anchor: Anchor) -> float:
        """Coefficient (J/V^2) of an anchored operation at a node."""
        c7, c45, c = self._c[7], self._c[45], self._c[node]
        if c <= c7:
            return anchor.fine * c / c7
        power = math.log(anchor.coarse / anchor.fine) / math.log(c45 / c7)
        return anchor.fine * math.pow(c / c7, power)

    def int_multiply(self, w_bits: float, a_bits: float) -> Anchor:
        """Integer multiplier of any two widths: power law in the product of the widths."""
        return self._power_law(self._mult, w_bits * a_bits / 64.0, 16.0)

    def int_add(self, bits: float) -> Anchor:
        """Integer adder: power law in the width."""
        return self._power_law(self._add, bits / 8.0, 4.0)

    def float_add(self, name: str) -> Anchor:
        """Scalar float adder (fp8 adds cost half of bf16: significand 4 of 8 bits)."""
        if name == "fp8":
            return self.float_add("bf16").times(0.5)
        return self._anchor(self._fp_add[name]["45"], self._fp_add[name]["7"])

    def float_exponent(self, name: str) -> Anchor:
        """What a float multiplier adds to its significand product."""
        if name == "fp8":
            return self._anchor(self._fp8_exponent["45"], self._fp8_exponent["7"])
        bits = FLOAT_FORMATS[name][1]
        whole = self._anchor(self._fp_mult[name]["45"], self._fp_mult[name]["7"])
        part = self.int_multiply(bits, bits)
        return Anchor(
            max(whole.coarse - part.coarse, 0.1 * whole.coarse),
            max(whole.fine - part.fine, 0.1 * whole.fine),
        )

    def multiply(self, w_format: str, a_format: str) -> Anchor:
        """Multiplier of two formats; a float operand brings its exponent path."""
        product = self.int_multiply(_significand(w_format), _significand(a_format))
        floats = [name for name in (w_format, a_format) if name in FLOAT_FORMATS]
        if not floats:
            return product
        exponents = [self.float_exponent(name) for name in floats]
        return product + max(exponents, key=lambda anchor: anchor.fine)

    def register_c(self, node: int) -> float:
        """Coefficient (J/V^2) of one clocked register bit."""
        return self.register_c40 * self._c[node] / self._c[40]

    def mac_c(
        self,
        node: int,
        w_format: str,
        a_format: str,
        acc_bits: int,
        dot_width: float | None = None,
    ) -> float:
        """Coefficient (J/V^2) of one MAC with accumulation, pipeline bits and local clock.

        ``dot_width``: products that an adder tree sums before one accumulator (null: the fact).
        """
        key = (node, w_format, a_format, acc_bits, dot_width or self.dot_width)
        found = self._mac.get(key)
        if found is None:
            found = self._mac[key] = self._mac_c(*key)
        return found

    def _mac_c(
        self, node: int, w_format: str, a_format: str, acc_bits: int, dot_width: float
    ) -> float:
        w_bits, a_bits = format_bits(w_format), format_bits(a_format)
        if not 4 <= acc_bits <= 64:
            raise InputError(
                f"accumulators of {acc_bits} bits are not supported",
                field="acc_bits",
                mend="from 4 to 64",
            )
        floats = [name for name in (w_format, a_format) if name in FLOAT_FORMATS]
        if floats:
            wide = acc_bits > 16
            name = "fp32" if wide else ("bf16" if "bf16" in floats else "fp16")
            accumulate = self.float_add(name).times(self.fused_add_share)
        else:
            share = 1.0 / dot_width
            tree = min(w_bits + a_bits + 2, acc_bits)
            accumulate = self.int_add(tree).times(1.0 - share)
            accumulate += self.int_add(acc_bits).times(share)
        logic = self.at_node(node, self.multiply(w_format, a_format) + accumulate)
        bits = w_bits + a_bits + acc_bits / dot_width
        registers = bits * self.register_activity * self.register_c(node)
        return (logic + registers) * (1.0 + self.local_overhead)

    def register_file_c(self, node: int, capacity_bytes: float) -> float:
        """Coefficient (J/V^2) per bit of a register file read, growing with its capacity.

        c = c_reg (1 + slope sqrt(capacity / 64 B)) / 2.
        """
        growth = 1.0 + self.rf_slope * math.sqrt(max(capacity_bytes, 0.0) / 64.0)
        return 0.5 * self.register_c(node) * growth

    def op_c(self, node: int, function: str, bits: int, fmt: str | None, table_c: float) -> float:
        """Coefficient (J/V^2) of one vector-lane element of a function.

        ``table_c`` is the coefficient per bit of a 256-entry table read.
        """
        key = (node, function, bits, fmt)
        found = self._op.get(key)
        if found is not None:
            return found
        steps = self._operations.get(function)
        if steps is None:
            raise InputError(
                f"unknown vector function {function!r}",
                field="function",
                mend=f"one of {', '.join(self._operations)}",
            )
        if fmt in FLOAT_FORMATS and fmt is not None:
            bits = format_bits(fmt)
            add = self.at_node(node, self.float_add(fmt))
            mul = self.at_node(node, self.multiply(fmt, fmt))
        else:
            if not 1 <= bits <= 64:
                raise InputError(
                    f"{bits} bits per lane are not supported", field="bits", mend="from 1 to 64"
                )
            add = self.at_node(node, self.int_add(bits))
            mul = self.at_node(node, self.int_multiply(bits, bits))
        move = bits * self.register_file_c(node, 256.0)
        work: float = steps["add"] * add + steps["mul"] * mul
        work += steps["lut"] * bits * table_c + steps["move"] * move
        found = self._op[key] = work * (1.0 + self.vector_overhead)
        return found

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the vector functions."""
        return tuple(self._operations)

    # area

    def mac_gates(
        self, w_format: str, a_format: str, acc_bits: int, dot_width: float | None = None
    ) -> float:
        """NAND2 equivalents of one MAC: multiplier, accumulation, registers, control."""
        w_bits, a_bits = format_bits(w_format), format_bits(a_format)
        dot = dot_width or self.dot_width
        gates = self._g_mult * _significand(w_format) * _significand(a_format)
        floats = [name for name in (w_format, a_format) if name in FLOAT_FORMATS]
        if floats:
            gates += max(float(self._g_fp_exp[name]) for name in floats)
            wide = "fp32" if acc_bits > 16 else "fp16"
            gates += float(self._g_fp_add[wide]) * self.fused_add_share
        else:
            share = 1.0 / dot
            tree = min(w_bits + a_bits + 2, acc_bits)
            gates += self._g_add * (tree * (1.0 - share) + acc_bits * share)
        gates += self._g_flop * (2.0 * w_bits + a_bits + acc_bits / dot)
        return gates * (1.0 + self._g_control)

    def _anchor(self, pj45: float, pj7: float) -> Anchor:
        return Anchor(float(pj45) * self._per_v2[0], float(pj7) * self._per_v2[1])

    def _power_law(self, table: dict[str, dict[str, float]], x: float, span: float) -> Anchor:
        ends = []
        for node in ("45", "7"):
            low, high = float(table[node]["8"]), float(table[node]["32"])
            ends.append(low * math.pow(x, math.log(high / low) / math.log(span)))
        return self._anchor(ends[0], ends[1])


def _significand(name: str) -> int:
    if name in FLOAT_FORMATS:
        return FLOAT_FORMATS[name][1]
    return format_bits(name)
