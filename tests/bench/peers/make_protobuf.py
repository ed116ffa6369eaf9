"""Makes the protobuf recording, with Foxglove's schemas and the official writer, in the environment that has both.

Arguments: the file, how many messages, the seed.
"""

import random
import sys
from pathlib import Path

from foxglove_schemas_protobuf.FrameTransforms_pb2 import FrameTransforms
from foxglove_schemas_protobuf.JointStates_pb2 import JointStates
from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from foxglove_schemas_protobuf.PoseInFrame_pb2 import PoseInFrame
from mcap_protobuf.writer import Writer

START = 1_760_000_000
TICK = 10_000_000  # nanoseconds: in each a pose, in every second one everything else
JOINTS = ("shoulder", "elbow", "wrist")


def main(path, messages, seed):
    """Write messages until there are at least that many."""
    dice = random.Random(seed)
    with Path(path).open("wb") as file, Writer(file, chunk_size=768 * 1024) as writer:
        for tick in range(-(-messages * 2 // 5)):
            made = [("/pose", pose(dice))]
            if tick % 2:
                made += [("/tf", transforms(dice)), ("/fix", fix(dice)), ("/joints", joints(dice))]
            for topic, message in made:
                time = tick * TICK + dice.randrange(TICK // 10)
                stamp(message, time)
                published = START * 1_000_000_000 + time
                writer.write_message(topic, message, published + 150_000, published, tick)


def stamp(message, time):
    """Set every time of a message."""
    for part in message.transforms if isinstance(message, FrameTransforms) else (message,):
        part.timestamp.seconds = START + time // 1_000_000_000
        part.timestamp.nanos = time % 1_000_000_000


def pose(dice):
    """Where the robot is."""
    message = PoseInFrame(frame_id="odom")
    place(message.pose.position, message.pose.orientation, dice)
    return message


def transforms(dice):
    """How two frames lie."""
    message = FrameTransforms()
    for parent, child in (("odom", "base_link"), ("base_link", "laser")):
        part = message.transforms.add(parent_frame_id=parent, child_frame_id=child)
        place(part.translation, part.rotation, dice)
    return message


def fix(dice):
    """A satellite fix."""
    return LocationFix(
        frame_id="gps",
        latitude=dice.uniform(-90, 90),
        longitude=dice.uniform(-180, 180),
        altitude=dice.gauss(120, 3),
        position_covariance=[dice.gauss(1, 0.1), 0, 0, 0, dice.gauss(1, 0.1), 0, 0, 0, dice.gauss(4, 0.2)],
        position_covariance_type=LocationFix.DIAGONAL_KNOWN,
    )


def joints(dice):
    """An arm."""
    message = JointStates()
    for name in JOINTS:
        message.joints.add(name=name, position=dice.gauss(0, 3), velocity=dice.gauss(0, 1), effort=dice.gauss(0, 20))
    return message


def place(position, rotation, dice):
    """Random numbers with 16 or 17 digits."""
    position.x, position.y, position.z = dice.gauss(0, 20), dice.gauss(0, 20), dice.gauss(0, 1)
    rotation.x, rotation.y, rotation.z, rotation.w = (dice.uniform(-1, 1) for _ in range(4))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
