"""An event file as TensorBoard's own writer makes it, and a check that TensorBoard's reader gives back what went in."""

import pathlib

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

folder = pathlib.Path(__file__).resolve().parent.parent / "tensorboard"
folder.mkdir(exist_ok=True)
path = folder / "events.bin"
png = bytes(range(256)) * 2
value = summary_pb2.Summary.Value
events = [
    event_pb2.Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    event_pb2.Event(wall_time=1700000001.5, step=301, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START)),
    event_pb2.Event(
        wall_time=1700000002.0,
        step=301,
        summary=summary_pb2.Summary(
            value=[value(tag="loss/training", simple_value=0.1), value(tag="learning rate", simple_value=2e-4), value(tag="zero", simple_value=0)]
        ),
    ),
    event_pb2.Event(
        wall_time=1700000003.0,
        step=1 << 40,
        summary=summary_pb2.Summary(
            value=[value(tag="samples", image=summary_pb2.Summary.Image(height=200, width=70000, colorspace=3, encoded_image_string=png))]
        ),
    ),
]
with open(path, "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString(deterministic=True))
    writer.flush()
read = list(LegacyEventFileLoader(str(path)).Load())
assert len(read) == len(events) and all(a == b for a, b in zip(read, events)), read
