"""Whether a worker can be reached at its address, host:port, and which one is there."""

import contextlib
import socket

import tensorflow as tf


def unreachable(address: str) -> str:
    """Why a worker's address cannot be reached; "" if it can."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def task_at(address: str, seconds: float) -> int | None:
    """Which task the process at an address is, busy or not; None without an answer in time."""
    options = tf.compat.v1.ConfigProto(device_filters=["/job:none"])  # it asks no others
    options.operation_timeout_in_ms = int(1000 * seconds)
    with contextlib.suppress(tf.errors.OpError):
        with tf.compat.v1.Session(f"grpc://{address}", tf.Graph(), options) as session:
            return tf.DeviceSpec.from_string(session.list_devices()[0].name).task
    return None
