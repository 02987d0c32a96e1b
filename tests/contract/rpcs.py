"""All rpcs of the contract, found in its descriptors, so that none is forgotten that comes later."""

import importlib
import pkgutil

from google.protobuf.descriptor import MethodDescriptor

import checkpointd.v1


def all_rpcs() -> list[MethodDescriptor]:
    """Every rpc of every service, in the order of the files."""
    files = [
        importlib.import_module(f"checkpointd.v1.{module.name}").DESCRIPTOR
        for module in pkgutil.iter_modules(checkpointd.v1.__path__)
        if module.name.endswith("_pb2")
    ]
    services = [service for file in files for service in file.services_by_name.values()]
    return [method for service in services for method in service.methods]
