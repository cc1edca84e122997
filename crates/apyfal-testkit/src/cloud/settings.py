"""How long AWS takes for what moto does at once. Tests change it by `/_cloud/settings`."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone


@dataclass
class Settings:
    # Seconds between two states of an instance.
    moment: float = 0.1
    # Seconds in which a new instance is not found.
    unseen: float = 0.0
    # Seconds in which a new instance profile is not known to EC2.
    profile: float = 0.0
    # Seconds that each call and its answer are under way.
    distance: float = 0.0
    # Seconds by which its clock is ahead.
    clock: float = 0.0
    # Whether the account has the free plan, which few types of instances are part of.
    free_plan: bool = False

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + timedelta(seconds=self.clock)


SETTINGS = Settings()
