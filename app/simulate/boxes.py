"""The boxes in the cars: how often each reports, and what goes wrong with it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Reporting:
    """How a car's box reports, and what goes wrong with it.

    Rates are means of random events. `interval_s` [s] between reports, also of a moving car;
    `parked_s` [s] between reports of a parked one, 0 where it is the same; `curve`: also reports
    every turn, stop and start. `noise_m`: standard deviation of the error on either axis, with a
    correlation that falls to 1/e in `noise_memory_s`.
    """

    interval_s: float = 15.0
    parked_s: float = 0.0
    curve: bool = False
    noise_m: float = 5.0
    noise_memory_s: float = 60.0
    static_hold: bool = False  # repeats one fix while parked
    sends_speed: bool = True
    sends_accuracy: bool = False
    sends_status: bool = False
    spike_share: float = 0.0
    duplicate_share: float = 0.0
    late_share: float = 0.0
    frozen_per_h: float = 0.0
    silences_per_h: float = 0.0
    holes: bool = False  # loses fixes in the town's radio holes


_FAULTS = Reporting(
    spike_share=0.0005,
    duplicate_share=0.002,
    late_share=0.004,
    frozen_per_h=0.04,
    silences_per_h=0.05,
    holes=True,
)
BOXES = (  # four by four, the cars that are on duty together: a mixture in each shift
    replace(_FAULTS, interval_s=5, sends_accuracy=True, sends_status=True),
    replace(_FAULTS, interval_s=15, sends_status=True),
    replace(_FAULTS, interval_s=30, static_hold=True, sends_status=True),
    replace(_FAULTS, interval_s=100, parked_s=600, curve=True, sends_status=True),
    replace(_FAULTS, interval_s=10, sends_status=True),
    replace(_FAULTS, interval_s=15, sends_accuracy=True),
    replace(_FAULTS, interval_s=15, parked_s=600, sends_status=True),
    replace(_FAULTS, interval_s=60, sends_status=True),
    replace(_FAULTS, interval_s=10, static_hold=True),
    replace(_FAULTS, interval_s=15, parked_s=600, static_hold=True),
    replace(_FAULTS, interval_s=30, sends_speed=False),
    replace(_FAULTS, interval_s=100, parked_s=600, curve=True),
)
