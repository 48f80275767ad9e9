"""Triton's own reading of model configurations: its messages clash with KServe's in one process.

`python model_configs.py config.pbtxt…` writes them to stdout as a JSON list, every field there.
"""

import json
import sys
from pathlib import Path

from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig


def main():
    configs = [text_format.Parse(Path(p).read_text(), ModelConfig()) for p in sys.argv[1:]]
    as_dicts = [
        json_format.MessageToDict(
            config, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for config in configs
    ]
    json.dump(as_dicts, sys.stdout)


if __name__ == "__main__":
    main()
