"""Numbers of files: each has a least and a greatest value, and a ground for both.

``Annotated[float, Limits(0.0, 5.0, "V", "I/O rails of old nodes run at 5 V")]`` is the type of a
field. The limits hold back slips of the pen and what no silicon, network or product can be, so that
no figure computed from a file runs out of what a float can hold; they are wide enough for nodes
from 180 nm to 2 nm, for microwatts and for data centres. Whether a value makes sense at a node and
beside other values is said further up, by the models. ``true`` is no number here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Number = int | float


@dataclass(frozen=True)
class Limits:
    """Least and greatest value of a number, with the ground.

    Attributes:
        low, high: the limits, both allowed unless ``above``.
        unit: as errors write it; empty for counts and shares.
        ground: why nothing lies beyond, or where the figures come from.
        above: ``low`` itself is not allowed.
    """

    low: Number
    high: Number
    unit: str
    ground: str
    above: bool = False

    @property
    def shown(self) -> str:
        """``above 0 to 5 V``."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{'above ' if self.above else ''}{shown(self.low)} to {shown(self.high)}{unit}"

    def fault(self, value: Number) -> str | None:
        """What is wrong with a value, and the mend; None if it lies within."""
        low = value > self.low if self.above else value >= self.low
        if low and value <= self.high:  # NaN is in no order
            return None
        unit = f" {self.unit}" if self.unit else ""
        return f"{shown(value)}{unit} is out of range ({self.ground}); give {self.shown}"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        truth = source is bool or bool in get_args(source)

        def check(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            if isinstance(value, bool):
                if truth:
                    return value
                raise ValueError(f"{str(value).lower()} is no number; give {self.shown}")
            if isinstance(value, (int, float)) and (why := self.fault(value)):
                raise ValueError(why)
            out = inner(value)
            # A text such as "1e30" has become a number only now.
            if out is not value and type(out) in (int, float) and (why := self.fault(out)):
                raise ValueError(why)
            return out

        return core_schema.no_info_wrap_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        out = handler(schema)
        least = "exclusiveMinimum" if self.above else "minimum"
        unit = {"x-unit": self.unit} if self.unit else {}
        return {**out, least: self.low, "maximum": self.high, **unit, "description": self.ground}


def shown(value: Number) -> str:
    """A limit as people write it: 4,096 and 1e-06."""
    if isinstance(value, int) and abs(value) >= 10**15:
        return f"{float(value):.3g}" if abs(value) < 10**300 else "a number of over 300 digits"
    if value == int(value) if abs(value) < 1e6 else False:
        return f"{int(value):,}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


_CLOCK = "a divided watch crystal, to circuits of superconductors, CMOS logic has reached 9 GHz"
_RAIL = "logic does not switch below about 0.1 V (record: 62 mV), I/O of old nodes runs at 5 V"
_AMBIENT = "the grades of AEC-Q100: -40 to 150 degrees"
_FOREVER = "an embedded product lives up to decades, a century is more than any"
_SRAM = "a byte to 64 GiB: a wafer of SRAM holds 44 GB"
_PORT = "a wafer of SRAM gives 2e7 bytes a cycle"
_STORE = "a byte to 64 TiB: a rack of servers"
_RATE = "a share of an operation a cycle (bit-serial: 1/64), up to wide units"
_SHARE = "a share"
_TIMES = "the largest dies have 1e11 transistors"
_WATTS = "wafers and servers draw some 20 kW"
_BIT = "Landauer's 3e-21 J is a floor, a radio for kilometres takes 1e-4 J a bit"

# Chips
Hertz = Annotated[float, Limits(1e3, 1e11, "Hz", _CLOCK)]
Volt = Annotated[float, Limits(0.05, 5.0, "V", _RAIL)]
Guard = Annotated[float, Limits(0.0, 0.5, "", "of the voltage, droop and ageing take 5 to 15 %")]
Celsius = Annotated[float, Limits(-40, 125, "C", _AMBIENT)]
HotCelsius = Annotated[float, Limits(-40, 150, "C", _AMBIENT)]
Speed = Annotated[float, Limits(0.2, 5, "", "pipelining moves a clock by a few times, not more")]
CoreCount = Annotated[int, Limits(1, 64, "", "cores are simulated one by one")]
Side = Annotated[int, Limits(1, 4096, "", "the widest arrays built have 256 to 1,024 a side")]
Depth = Annotated[int, Limits(1, 1024, "", "adder trees sum up to some hundred products")]
Rate = Annotated[float, Limits(1e-4, 1024.0, "a cycle", _RATE)]
AccBits = Annotated[int, Limits(16, 64, "bit", "products of 8 bit take 16, of doubles 64")]
Cycles = Annotated[int, Limits(0, 10**9, "cycles", "a second at 1 GHz")]
PartCycles = Annotated[float, Limits(0.0, 1e9, "cycles", "a second at 1 GHz")]
DescriptorCycles = Annotated[
    float, Limits(0.0, 1e7, "cycles", "10 ms at 1 GHz: a driver that is entered for each transfer")
]
HopCycles = Annotated[float, Limits(0.0, 1e6, "cycles", "1 ms at 1 GHz: a network of a rack")]
AlignTo = Annotated[int, Limits(1, 1 << 20, "", "arrays and vectors are padded to thousands")]
TileSize = Annotated[int, Limits(1, 1 << 40, "", "of a loop, a large one keeps it whole")]
AccBytes = Annotated[int, Limits(0, 1 << 36, "bytes", _SRAM)]
PeBytes = Annotated[int, Limits(0, 1 << 24, "bytes", "tiles with memory of their own hold 1 MB")]
SpeedUp = Annotated[float, Limits(1, 64, "", "n:m patterns and zero skipping reach a few times")]
OverPlain = Annotated[float, Limits(1.0, 100.0, "", "selecting costs part of a MAC")]
Ratio = Annotated[float, Limits(1.0, 1000.0, "", "weights of zeros alone shrink that far")]
RateShare = Annotated[float, Limits(1e-6, 1.0, "", f"{_SHARE} that is not nothing")]
ShareBelow = Annotated[float, Limits(0.0, 0.999, "", f"{_SHARE} that leaves something over")]
ClockPoint = Annotated[float, Limits(1e-6, 0.999999, "", "of the chip's own clock, below it")]
SramBytes = Annotated[int, Limits(1, 1 << 36, "bytes", _SRAM)]
SharedBytes = Annotated[int, Limits(0, 1 << 36, "bytes", _SRAM)]
FlashBytes = Annotated[int, Limits(0, 1 << 40, "bytes", "a terabyte of flash in a package")]
StoreBytes = Annotated[int, Limits(0, 1 << 46, "bytes", _STORE)]
BurstBytes = Annotated[int, Limits(1, 1 << 30, "bytes", "from a byte to a block of flash")]
DescriptorBytes = Annotated[int, Limits(1, 1 << 40, "bytes", "length fields of up to 40 bit")]
Banks = Annotated[int, Limits(1, 4096, "", "each has a decoder of its own")]
PortBytes = Annotated[float, Limits(1e-3, 1e8, "bytes a cycle", _PORT)]
PortOrNone = Annotated[float, Limits(0.0, 1e8, "bytes a cycle", _PORT)]
PerSide = Annotated[
    float, Limits(0.0, 1 << 24, "a row or column", "a PE with memory of its own holds 1 MB")
]
WidthTimes = Annotated[
    float, Limits(1 / 64, 64, "", "arrays that wait or idle by more are not built")
]
Lanes = Annotated[int, Limits(1, 65536, "", "wide vector processors have 4,096")]
Stages = Annotated[int, Limits(1, 16, "", "bias, scale, elementwise, pooling, each once or twice")]
Wide = Annotated[float, Limits(1.0, 64.0, "", "64 bit against one")]
Channels = Annotated[int, Limits(1, 256, "", "queues of the largest engines")]
SomeChannels = Annotated[int, Limits(0, 64, "", "8 stacks of 8 channels and more are modelled")]
Gates = Annotated[int, Limits(0, 10**10, "gates", _TIMES)]
StartSeconds = Annotated[float, Limits(0.0, 600.0, "s", "loading a large model takes minutes")]
WireMm = Annotated[float, Limits(1e-3, 300.0, "mm", "a micrometre to across a wafer")]
HopJoules = Annotated[float, Limits(0.0, 1e-6, "J a bit", _BIT)]
Chiplets = Annotated[int, Limits(1, 16, "", "dies side by side on an interposer")]
LinkRate = Annotated[float, Limits(1.0, 1e15, "bytes/s", "a serial line to a wafer's SRAM")]
AreaMm2 = Annotated[float, Limits(0.0, 7.1e4, "mm2", "a wafer of 300 mm has 70,686 mm2")]
Pads = Annotated[int, Limits(0, 10**6, "", "bumps at 25 um on two reticles")]
Plls = Annotated[int, Limits(0, 64, "", "one for each core and interface")]
Watts = Annotated[float, Limits(0.0, 1e5, "W", _WATTS)]
SomeWatts = Annotated[float, Limits(1e-9, 1e5, "W", f"a nanowatt, {_WATTS}")]
ActionJoules = Annotated[
    float, Limits(1e-21, 1.0, "J", "Landauer's 3e-21 J at room temperature is a floor")
]
EnergyRatio = Annotated[float, Limits(1e-6, 1e6, "", "a model that is off by more is none")]
SwitchSeconds = Annotated[float, Limits(0.0, 10.0, "s", "converters settle in milliseconds")]
SwitchJoules = Annotated[float, Limits(0.0, 1e3, "J", "charging the decoupling of a board")]
KelvinPerWatt = Annotated[
    float, Limits(1e-4, 1e5, "K/W", "bare dies in still air: 1,000, cold plates: 0.01")
]
JoulePerKelvin = Annotated[float, Limits(1e-9, 1e6, "J/K", "a grain of silicon to water by the m3")]
Kelvin = Annotated[float, Limits(1e-3, 100.0, "K", "sensors resolve a fraction of a kelvin")]
TickSeconds = Annotated[float, Limits(1e-6, 3600.0, "s", "finer is below the heat path of a block")]

# Products and platforms
Usd = Annotated[float, Limits(0.0, 1e12, "USD", "the chip industry earns 6e11 a year")]
SomeUsd = Annotated[float, Limits(1e-6, 1e9, "USD", "a printed tag to a machine hall")]
Margin = Annotated[float, Limits(1.0, 100.0, "", "price over cost of software-like margins")]
Years = Annotated[float, Limits(1e-3, 100.0, "years", _FOREVER)]
DutyShare = Annotated[float, Limits(1e-9, 1.0, "", "a second in thirty years to always")]
Units = Annotated[float, Limits(1.0, 1e12, "units", "one piece to a hundred for each person")]
Users = Annotated[int, Limits(1, 65536, "", "requests that a data-centre chip takes together")]
Pue = Annotated[float, Limits(1.0, 5.0, "", "1 is no loss, poor rooms have 3")]
UsdPerKwh = Annotated[float, Limits(0.0, 100.0, "USD/kWh", "mains cost up to 1 USD")]
RoundTrip = Annotated[float, Limits(0.0, 1e4, "s", "to Mars and back takes 2,700 s")]
RadioJoules = Annotated[float, Limits(0.0, 1.0, "J a bit", _BIT)]
PartShare = Annotated[float, Limits(1e-6, 1.0, "", f"{_SHARE} that is not nothing")]

# Apps
Repeats = Annotated[int, Limits(1, 100_000, "", "tokens of a long answer")]
Tokens = Annotated[int, Limits(2, 100_000, "", "tokens of a long answer, more than the first one")]
Pixels = Annotated[int, Limits(1, 65536, "pixels", "the side of an image of gigapixels")]
Instances = Annotated[int, Limits(1, 64, "", "equal sensors are simulated one by one")]
PerSecond = Annotated[float, Limits(1e-9, 1e6, "Hz", "once in thirty years to a megahertz")]
Jitter = Annotated[float, Limits(0.0, 3600.0, "s", "an hour is the longest play")]
Duration = Annotated[float, Limits(1e-9, 1e9, "s", "a nanosecond to thirty years")]
#: The longest play, s.
LONGEST_PLAY_S = 3600.0
Horizon = Annotated[
    float, Limits(1e-6, LONGEST_PLAY_S, "s", "events of an hour are played in minutes")
]
Moment = Annotated[float, Limits(0.0, 1e9, "s", "ascending from the start of the play")]
Priority = Annotated[int, Limits(-(10**6), 10**6, "", "an order, of either sign")]
CoreNumber = Annotated[int, Limits(0, 4095, "", "counted from 0, as many as 64 chips have")]
PipelineCores = Annotated[int, Limits(2, 64, "", "cores are simulated one by one")]
Frames = Annotated[int, Limits(0, 1024, "frames", "seconds of a camera's pictures")]
Payload = Annotated[float, Limits(0.0, 1e15, "bytes", "a petabyte")]
QualityPoints = Annotated[
    float,
    Limits(-1e6, 1e6, "points", "percent, or a metric's own scale (FID, perplexity)"),
]
QualityLoss = Annotated[float, Limits(1e-9, 1e6, "points", "as the metric itself, above none")]
AmpleWatts = Annotated[float, Limits(1e-9, 1e9, "W", "a nanowatt to a power plant")]
OtherWatts = Annotated[float, Limits(0.0, 1e9, "W", "motors and displays, up to a power plant")]
ModuleMm2 = Annotated[float, Limits(1e-6, 7.1e4, "mm2", "a wafer of 300 mm has 70,686 mm2")]
WattHours = Annotated[float, Limits(1e-9, 1e9, "Wh", "a grain to a battery plant")]
Hours = Annotated[float, Limits(1e-6, 1e6, "h", "a century has 876,600 hours")]
AmbientCelsius = Annotated[float, Limits(-60, 125, "C", "arctic stores to the bonnet of an engine")]
JunctionCelsius = Annotated[float, Limits(0, 175, "C", "AEC-Q100 grade 0: up to 175 C")]

# Experiments
Weight = Annotated[float, Limits(1e-9, 1e9, "", "only ratios between weights count")]
#: Any setting or limit of a search, before its own field's range is known.
AnyNumber = Limits(-1e18, 1e18, "", "no field of a chip or an app goes further")
Setting = Annotated[str | int | float | bool | None, AnyNumber]
Step = Annotated[float | int | str, AnyNumber]
MetricLimit = Annotated[float, AnyNumber]
Steps = Annotated[int, Limits(2, 1000, "", "a grid of more is a ladder of slips")]
Population = Annotated[int, Limits(4, 1000, "", "genetic search needs parents, and not thousands")]
Batch = Annotated[int, Limits(1, 1000, "", "designs proposed at once")]
Fraction = Annotated[float, Limits(0.0, 1.0, "", _SHARE)]
Trials = Annotated[int, Limits(1, 10**9, "", "at a thousand a second that is eleven days")]
LongSeconds = Annotated[float, Limits(1e-6, 1e9, "s", "a microsecond to thirty years")]
Seed = Annotated[int, Limits(0, (1 << 63) - 1, "", "a whole number of 63 bit")]
