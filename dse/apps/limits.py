"""What an application demands of the product around the chip: quality, money, power, heat, privacy.

A missing limit does not bind. SI units; the names carry them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from dse.errors import InputError
from dse.model_quality import METRICS, Quality
from dse.ranges import (
    AmbientCelsius,
    AmpleWatts,
    DutyShare,
    Frames,
    Hours,
    JoulePerKelvin,
    JunctionCelsius,
    KelvinPerWatt,
    ModuleMm2,
    OtherWatts,
    PartShare,
    Payload,
    QualityLoss,
    QualityPoints,
    ShareBelow,
    SomeUsd,
    Units,
    WattHours,
    Years,
)
from dse.schema import Strict
from dse.workload import parse_precision

Status = Literal["read", "recalled", "computed", "assumed"]

#: Quality metrics and whether more is better: those of the quality package, and further ones that
#: only apps speak of. Percent, but for ``fid``, ``clip_score`` and ``mos`` (their own scales).
METRIC_HIGHER: dict[str, bool] = {
    **{name: metric.higher_is_better for name, metric in METRICS.items()},
    "accuracy": True,
    "map50": True,
    "nds": True,
    "recall": True,
    "f1": True,
    "clip_score": True,
    "mos": True,
    "fid": False,
}


class SourceNote(Strict):
    """Where a figure (or every figure below a path) comes from.

    ``read`` in a named source, ``recalled``, ``computed`` from such, or ``assumed``: a design
    choice that the user of the app is to set.
    """

    status: Status
    source: str


class QualityFigure(Strict):
    """Quality of a model at a precision, brought along by an app.

    Used where the package's own published figures know nothing of the model in the floor's metric.
    ``model`` is the model's name without settings (any if left out), ``precision`` one name or
    several (``[w4a16, w4afp16]``). Drops are losses in the metric's own points against
    ``float_value``; ``drop_p90`` bounds nine of ten cases.
    """

    model: str | None = None
    precision: tuple[str, ...] = Field(min_length=1)
    float_value: QualityPoints
    drop_median: QualityPoints = 0.0
    drop_p90: QualityPoints = 0.0
    source: str
    status: Status

    @field_validator("precision", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("precision")
    @classmethod
    def _by_plain_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(parse_precision(name).name for name in names)
        except InputError as error:
            raise ValueError(f"{error.message}; {error.mend}") from None

    def applies(self, model: str, precision: str) -> bool:
        """Whether the figure is of this model at this precision (their plain names)."""
        return self.model in (None, model) and precision in self.precision

    def quality(self, metric: str) -> Quality:
        """As the quality package states it."""
        return Quality(
            metric=metric,
            higher_is_better=METRIC_HIGHER[metric],
            float_value=self.float_value,
            drop_median=self.drop_median,
            drop_p90=self.drop_p90,
            method=_method(self.precision[0]),
            cases=1,
            basis="app",
            sources=(self.source,),
            status=self.status,
        )


def _method(precision: str) -> str:
    if precision.endswith("-qat"):
        return "qat"
    return "float" if precision in ("fp32", "fp16", "bf16") else "ptq"


class QualityFloor(Strict):
    """What a stream's model must still deliver, in ``metric``.

    ``max_drop`` bounds the loss against the float model in the metric's own points, ``min_ratio``
    the share of the float value that must remain (MLPerf's form), both judged at ``risk``:
    ``median`` of the published drops or their 90th percentile ``p90``. ``min_value`` is an absolute
    floor (a ceiling if less is better, see :data:`METRIC_HIGHER`). At least one of the three.
    ``method`` restricts how the precision may have been reached. ``figures`` are published values
    that the package's own data lack.
    """

    metric: str
    max_drop: QualityLoss | None = None
    min_ratio: PartShare | None = None
    min_value: QualityPoints | None = None
    risk: Literal["median", "p90"] = "p90"
    method: Literal["any", "ptq", "qat"] = "any"
    figures: tuple[QualityFigure, ...] = ()
    source: str = "assumed"

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""
        return METRIC_HIGHER[self.metric]

    @model_validator(mode="after")
    def _needs_one(self) -> QualityFloor:
        if self.metric not in METRIC_HIGHER:
            raise ValueError(
                f"unknown quality metric {self.metric!r}; use one of: {', '.join(METRIC_HIGHER)}"
            )
        if self.max_drop is None and self.min_value is None and self.min_ratio is None:
            raise ValueError(
                "a quality floor needs max_drop, min_ratio or min_value; add one of them"
            )
        return self


class Budgets(Strict):
    """Limits of the module and of the product; a missing one does not bind.

    ``volume`` is units over the product's life, ``volumes`` further ones to state the unit cost at.
    ``module_power_w`` bounds the mean, ``peak_power_w`` the mean over 1 ms. The battery feeds the
    module and ``other_power_w`` (motors, display, radio); ``battery_usable`` is the share of
    ``battery_wh`` that may be drawn; it must last ``min_hours`` of operation. By itself it loses
    ``battery_self_discharge`` of its rated energy a month; ``battery_converter`` is the efficiency
    of what stands between it and the module's supply, 1 for a cell that feeds the module directly
    (both null: the block facts). ``other_power_w`` is as the battery gives it. ``lifetime_years``
    is how long a unit must serve, ``duty`` the share of it in operation; ``grid`` names the
    electricity.
    """

    module_power_w: AmpleWatts | None = None
    peak_power_w: AmpleWatts | None = None
    unit_cost_usd: SomeUsd | None = None
    area_mm2: ModuleMm2 | None = None
    volume: Units = 1e6
    volumes: tuple[Units, ...] = ()
    lifetime_years: Years = 5.0
    duty: DutyShare = 1.0
    grid: str = "japan"
    battery_wh: WattHours | None = None
    battery_usable: PartShare = 1.0
    battery_self_discharge: ShareBelow | None = None
    battery_converter: PartShare | None = None
    min_hours: Hours | None = None
    other_power_w: OtherWatts = 0.0

    @model_validator(mode="after")
    def _hours_need_a_battery(self) -> Budgets:
        if self.min_hours is not None and self.battery_wh is None:
            raise ValueError("min_hours without a battery; add battery_wh")
        return self


class Environment(Strict):
    """Heat: where the module stands, and how it gets rid of its power.

    The sustained junction temperature is ``ambient_c + thermal_c_per_w`` x mean die power, with
    leakage and rails at that temperature; bursts swing about it as far as ``thermal_j_per_k`` (heat
    capacity between junction and ambient; null: the block fact) lets them. Both must stay below
    ``max_junction_c``. ``thermal_c_per_w`` is from junction to ambient, heat sink included.
    """

    ambient_c: AmbientCelsius = 25.0
    max_junction_c: JunctionCelsius = 105.0
    thermal_c_per_w: KelvinPerWatt | None = None
    thermal_j_per_k: JoulePerKelvin | None = None

    @model_validator(mode="after")
    def _room(self) -> Environment:
        if self.max_junction_c <= self.ambient_c:
            raise ValueError(
                "max_junction_c is not above ambient_c; a chip in work is warmer than its ambient"
            )
        return self


class MemoryNeeds(Strict):
    """What the product keeps in its external memory beside networks and operating system.

    ``frame_buffers``: frames that each source cycles through (null: the block fact), of the
    stream's ``frame_bytes``. ``other_bytes``: the app's own code and data (maps, a display).
    """

    frame_buffers: Frames | None = None
    other_bytes: Payload = 0.0


class Privacy(Strict):
    """What may leave the device.

    ``none``: nothing does; ``features``: tensors inside a network, but not its input (a split is
    allowed, an offload is not); ``all``: anything. ``text`` says why.
    """

    may_leave: Literal["none", "features", "all"] = "none"
    text: str = ""
