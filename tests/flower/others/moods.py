"""Apps that do what they are told in the message's config, most of it wrong."""

import importlib.util
import os
import subprocess
import sys
import time

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

print("an app may print when it is loaded")
app = ClientApp()
no_app = "an attribute"


@app.train()
def train(msg, context):
    do = msg.content["config"]["do"]
    print("and when it trains", do)
    given = msg.content["arrays"]
    arrays = {name: array.numpy() for name, array in given.items()}
    if do == "raise":
        raise ZeroDivisionError("seven by nothing")
    if do == "exit":
        sys.exit("enough")
    if do == "die":
        os._exit(3)
    if do == "none":
        return None
    if do == "error":
        return Message(Error(code=7, reason="no rows today"), reply_to=msg)
    if do == "hang":
        with open(context.node_config["note"], "w") as file:
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            file.write(f"{child.pid}\n")
        time.sleep(600)
    if do == "sleep":
        with open(context.node_config["note"], "w") as file:
            file.write("asleep")
        time.sleep(600)
    if do == "two":
        return Message(RecordDict({"a": given, "b": ArrayRecord(dict(given))}), reply_to=msg)
    if do == "fewer":
        arrays.popitem()
    if do == "other names":
        arrays = {name.upper(): array for name, array in arrays.items()}
    if do == "backwards":
        arrays = dict(reversed([(name, array + 1) for name, array in arrays.items()]))
    if do == "shape":
        arrays = {name: array.reshape(-1) for name, array in arrays.items()}
    if do == "integers":
        arrays = {name: array.astype(np.int64) for name, array in arrays.items()}
    if do == "double":
        arrays = {name: array.astype(np.float64) * 2 for name, array in arrays.items()}
    if do == "nan":
        arrays = {name: array * np.nan for name, array in arrays.items()}
    if do == "count":
        rounds = context.state.config_records.get("mine", ConfigRecord({"rounds": 0}))["rounds"] + 1
        context.state["mine"] = ConfigRecord({"rounds": rounds})
        arrays = {name: np.full_like(array, rounds) for name, array in arrays.items()}
    if do == "look":
        about = [
            float(os.environ["FLWR_TELEMETRY_ENABLED"]),
            float(importlib.util.find_spec("hansa") is not None),
            float(msg.metadata.run_id == context.run_id and msg.metadata.dst_node_id == context.node_id),
            float(os.path.samefile(os.getcwd(), os.path.dirname(__file__))),
        ]
        arrays = {name: np.resize(np.array(about, np.float32), array.shape) for name, array in arrays.items()}
    content = RecordDict({"arrays": ArrayRecord({name: Array(array) for name, array in arrays.items()})})
    content["metrics"] = MetricRecord({"num-examples": 24})
    return Message(content, reply_to=msg)
