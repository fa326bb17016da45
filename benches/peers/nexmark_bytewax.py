"""Nexmark q0, q1 and q2 over JSON lines in Bytewax: nexmark_bytewax.py q1 events.jsonl; prints how many rows came out."""

import json
import sys

import bytewax.operators as op
from bytewax.connectors.files import FileSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main


class Counted(StatelessSinkPartition):
    rows = 0

    def write_batch(self, items):
        Counted.rows += len(items)


class Count(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        return Counted()


def q0(bid):
    return tuple(bid[name] for name in ("auction", "bidder", "price", "channel", "url", "date_time", "extra"))


def q1(bid):
    return bid["auction"], bid["bidder"], bid["price"] * 0.908, bid["date_time"], bid["extra"]


def q2(bid):
    return (bid["auction"], bid["price"]) if bid["auction"] % 123 == 0 else None


query, path = {"q0": q0, "q1": q1, "q2": q2}[sys.argv[1]], sys.argv[2]


def bids(lines):
    for line in lines:
        event = json.loads(line)
        if event["event_type"] == "bid":
            row = query(event)
            if row is not None:
                yield row


flow = Dataflow("nexmark")
lines = op.input("lines", flow, FileSource(path, batch_size=8192))
rows = op.flat_map_batch("query", lines, bids)
op.output("count", rows, Count())
run_main(flow)
print(Counted.rows)
