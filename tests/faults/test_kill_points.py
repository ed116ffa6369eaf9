"""Every crash point of the code is one at which a test kills."""

import pytest

from tests.broker.test_broker_kills import POINTS as OF_BROKERS
from tests.faults.crash_points import all_points, calls_without_a_name
from tests.faults.test_camera_kills import POINTS as OF_BACKUPS
from tests.faults.test_frame_kills import POINTS as OF_FRAMES
from tests.faults.test_kill_dispatchers import POINTS as OF_DISPATCHERS
from tests.faults.test_kill_pods import POINTS as OF_PODS
from tests.faults.test_kill_sensors import POINTS as OF_SENSORS
from tests.faults.test_kill_webhooks import POINTS as OF_WEBHOOKS
from tests.sentinel.test_watch import POINTS as OF_SENTINEL

pytestmark = pytest.mark.fault


def test_every_crash_point_has_a_test_that_kills_there() -> None:
    """Those tests fail for a point that the process does not come to."""
    assert calls_without_a_name() == 0
    tested = [*OF_BACKUPS, *OF_BROKERS, *OF_DISPATCHERS, *OF_FRAMES, *OF_PODS, *OF_SENSORS, *OF_SENTINEL, *OF_WEBHOOKS]
    assert all_points() == sorted(tested)
