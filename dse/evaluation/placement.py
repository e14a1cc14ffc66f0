"""Where the streams of an app run on a platform of device and data centre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dse.apps import App, QualityVerdict, Stream
from dse.apps.split import cuts, split_at
from dse.apps.stream import RequestStage
from dse.errors import InputError, UnmappableError
from dse.evaluation.energy import static_by_scope_w
from dse.evaluation.loads import Load, stream_load
from dse.evaluation.room import Allotments
from dse.evaluation.terms import Fidelity
from dse.hardware.chip import Chip, Platform
from dse.hardware.kinds import core_kinds
from dse.hardware.offload import CloudTerms, NetLink
from dse.mapping import Objective, layer_latencies_s
from dse.workload import Workload

#: In front of the key of a network as the data-centre side runs it.
CLOUD = "cloud/"
#: Bytes of a token's number, sent as text or as an index.
TOKEN_BYTES = 4.0


@dataclass(frozen=True)
class Leg:
    """The part of a stream's job that leaves the device.

    ``first_s`` is the data centre's time to the end of the first stage, ``rest_s`` what follows
    (0 without stages), both without waiting; ``chip_s`` is how long the job occupies one whole
    data-centre chip, its batch shared; ``energy_j`` what it costs there, building included.
    """

    up_bytes: float
    reply_bytes: float
    first_s: float
    rest_s: float
    chip_s: float
    energy_j: float

    @property
    def service_s(self) -> float:
        return self.first_s + self.rest_s

    def isolated_s(self, link: NetLink) -> float:
        """There and back with nobody in the way, s."""
        up, down = self.up_bytes / link.up_bytes_per_s, self.reply_bytes / link.down_bytes_per_s
        return up + link.rtt_s + self.service_s + down


@dataclass(frozen=True)
class Placed:
    """A stream with what runs of it on the device (``local``) and elsewhere (``leg``)."""

    stream: Stream
    where: str
    local: Load | None
    remote: Load | None
    leg: Leg | None
    forbidden: str | None

    @property
    def load(self) -> Load:
        """The side that tells model, precision and bottleneck: the remote one if there is one."""
        found = self.remote or self.local
        assert found is not None
        return found

    @property
    def verdict(self) -> QualityVerdict:
        """The worse quality verdict of the sides that run."""
        sides = [load.verdict for load in (self.local, self.remote) if load is not None]
        return min(sides, key=lambda v: (v.passes, v.margin if v.margin is not None else 9.0))

    def isolated_s(self, link: NetLink) -> float:
        """One job with the whole platform to itself, s."""
        local = self.local.latency_s if self.local else 0.0
        return local + (self.leg.isolated_s(link) if self.leg else 0.0)

    def device_energy_j(self, link: NetLink) -> float:
        """What one job costs the device: work, the static power of its time, and the radio, J."""
        joules = 0.0
        if self.local is not None:
            joules += self.local.dynamic_j("die_dram")
            joules += self.local.view.mapping_static_w * self.local.latency_s
        if self.leg is not None:
            joules += 8.0 * (self.leg.up_bytes + self.leg.reply_bytes) * link.device_j_per_bit
        return joules

    def system_energy_j(self, link: NetLink) -> float:
        """The same with network and data centre, J."""
        joules = self.device_energy_j(link)
        if self.leg is not None:
            joules += 8.0 * (self.leg.up_bytes + self.leg.reply_bytes) * link.network_j_per_bit
            joules += self.leg.energy_j
        return joules


@dataclass(frozen=True)
class Placer:
    """Builds placements of an app's streams on a platform."""

    app: App
    workloads: Mapping[str, Workload]
    platform: Platform
    mapped_on: Platform
    objective: Objective
    fidelity: Fidelity
    room: Allotments = field(default_factory=dict)

    @property
    def link(self) -> NetLink:
        assert self.platform.link is not None
        return self.platform.link

    @property
    def terms(self) -> CloudTerms:
        assert self.platform.cloud is not None
        return self.platform.cloud

    def place(self, stream: Stream) -> Placed:
        """The stream where it asks to be; ``auto`` where it is best among what privacy allows.

        Best is the least of the app's ``placement_objective`` among placements whose isolated
        latency meets the deadline; if none does, the fastest.

        Raises:
            UnmappableError: the chip of that side cannot run it.
        """
        if stream.placement != "auto":
            return self.at(stream, stream.placement)
        found: list[Placed] = []
        first_error: UnmappableError | None = None
        for where in self._candidates(stream):
            try:
                placed = self.at(stream, where)
            except UnmappableError as error:
                first_error = first_error or error
                continue
            if placed.forbidden is None:
                found.append(placed)
        if not found:
            assert first_error is not None
            raise first_error
        due = stream.due_s
        timely = [p for p in found if due is None or p.isolated_s(self.link) <= due]
        if not timely:
            return min(found, key=lambda placed: placed.isolated_s(self.link))
        return min(timely, key=self._cost)

    def _cost(self, placed: Placed) -> tuple[float, float]:
        link = self.link
        seconds = placed.isolated_s(link)
        kind = self.app.placement_objective
        if kind == "latency":
            return seconds, placed.device_energy_j(link)
        if kind == "energy":
            return placed.system_energy_j(link), seconds
        return placed.device_energy_j(link), seconds

    def _candidates(self, stream: Stream) -> list[str]:
        """Device, cloud, and the cut that looks best by the layer times of the whole network."""
        out = ["device", "cloud"]
        if stream.request is not None or self.fidelity == "roofline":
            return out
        try:
            sides = [self._whole(stream, device=device) for device in (True, False)]
        except UnmappableError:
            return out
        local, remote = (side.parts[0] for side in sides)
        if local.program is None or remote.program is None:
            return out
        here = layer_latencies_s(local.program, sides[0].view)
        there = layer_latencies_s(remote.program, sides[1].view)
        index = {layer.name: number for number, layer in enumerate(local.workload.layers)}

        def estimate(cut: tuple[str, float]) -> float:
            count = index[cut[0]] + 1
            transfer = cut[1] / self.link.up_bytes_per_s
            return sum(here[:count]) + transfer + sum(there[count:])

        choices = cuts(local.workload)
        if choices:
            out.append(f"split@{min(choices, key=estimate)[0]}")
        return out

    def at(self, stream: Stream, where: str) -> Placed:
        """The stream at one placement, allowed or not."""
        if where == "device":
            return Placed(stream, where, self._whole(stream, device=True), None, None, None)
        rule = self.app.privacy_of(stream)
        if where == "cloud":
            remote = self._whole(stream, device=False)
            up = stream.upload_bytes
            if up is None:
                up = _input_bytes(remote.parts[0].workload) / self.terms.batch
            leg = self._leg(stream, remote, up)
            ban = None if rule.may_leave == "all" else _ban(stream, "its input", rule.may_leave)
            return Placed(stream, where, None, remote, leg, ban)
        return self._split(stream, where.removeprefix("split@"), rule.may_leave)

    def _split(self, stream: Stream, layer: str, may_leave: str) -> Placed:
        whole, other = self.workloads[stream.id], self.workloads[CLOUD + stream.id]
        try:
            split = split_at(whole, layer, other)
        except InputError as error:
            field = f"app.{stream.id}.placement"
            raise InputError(error.message, field=field, mend=error.mend) from None
        local = self._side(stream, split.head, device=True)
        remote = self._side(stream, split.tail, device=False)
        ban = None
        if may_leave == "none" or (split.raw and may_leave != "all"):
            what = "its input" if split.raw else "what crosses the cut"
            ban = _ban(stream, what, may_leave)
        leg = self._leg(stream, remote, split.bytes)
        return Placed(stream, f"split@{layer}", local, remote, leg, ban)

    def _whole(self, stream: Stream, *, device: bool) -> Load:
        found = self.workloads
        if not device:
            found = {k.removeprefix(CLOUD): v for k, v in found.items() if k.startswith(CLOUD)}
        return self._load(stream, found, device=device)

    def _side(self, stream: Stream, workload: Workload, *, device: bool) -> Load:
        """A load of one part of a split network, with the quality of the whole."""
        part = self._load(stream, {stream.id: workload}, device=device)
        return replace(part, verdict=self._whole(stream, device=device).verdict)

    def _load(self, stream: Stream, found: Mapping[str, Workload], *, device: bool) -> Load:
        side = self.platform.chips[0 if device else 1]
        mapped = self.mapped_on.chips[0 if device else 1]
        if not device:
            # The cores that it names are the device's.
            stream = stream.model_copy(update={"cores": "all", "split": stream.together})
        room = self.room if device else {}
        return stream_load(
            self.app, stream, found, side, mapped, self.objective, self.fidelity, room
        )

    def _leg(self, stream: Stream, remote: Load, up_bytes: float) -> Leg:
        chip, terms = self.platform.chips[1], self.terms
        first = remote.ttft_s if remote.ttft_s is not None else remote.latency_s
        chip_s = remote.latency_s * remote.cores / chip.cores / terms.batch
        reply = stream.reply_bytes
        if reply is None:
            reply = _reply_bytes(remote, terms.batch)
        return Leg(
            up_bytes=up_bytes,
            reply_bytes=reply,
            first_s=first,
            rest_s=remote.latency_s - first,
            chip_s=chip_s,
            energy_j=job_energy_j(remote, chip, terms, chip_s),
        )


def job_energy_j(remote: Load, chip: Chip, terms: CloudTerms, chip_s: float) -> float:
    """Energy of one job in the data centre, J.

    Its dynamic energy; the static power of the chip and the rest of the server for the chip-seconds
    it occupies, idle ones shared out (``/ utilization``); conversion losses; and the building.
    """
    working = {kind.name: len(kind.cores) * terms.utilization for kind in core_kinds(chip)}
    static_w = static_by_scope_w(chip, working, terms.utilization)["die_dram"]
    dynamic = remote.dynamic_j("die_dram") / terms.batch
    own_w = static_w + (dynamic / chip_s * terms.utilization if chip_s else 0.0)
    conversion = chip.pmic.input_w(own_w) / own_w if own_w > 0.0 else 1.0
    held_s = chip_s / terms.utilization
    chip_j = (dynamic + static_w * held_s) * conversion
    return (chip_j + terms.server_w * held_s) * terms.pue


def _ban(stream: Stream, what: str, may_leave: str) -> str:
    return (
        f"stream {stream.id}: {what} may not leave the device (privacy: may_leave is {may_leave})"
    )


def _input_bytes(workload: Workload) -> float:
    """What a network is given from outside: its inputs but for a cache it keeps itself."""
    tensors = [workload.tensors[name] for name in workload.inputs if name in workload.tensors]
    return float(sum(tensor.bytes for tensor in tensors if tensor.role != "kv"))


def _reply_bytes(remote: Load, batch: int) -> float:
    """What comes back: a token for each run of a request, else the network's outputs."""
    request = remote.stream.request
    if request is not None:
        repeats = sum(_repeat(part) for part in request.parts)
        return TOKEN_BYTES * repeats
    workload = remote.parts[-1].workload
    names = [name for name in workload.outputs if name in workload.tensors]
    return float(sum(workload.tensors[name].bytes for name in names)) / batch


def _repeat(stage: RequestStage) -> int:
    return stage.repeat
