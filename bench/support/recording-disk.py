"""A disk in memory that writes down what happens to it, as a plugin of nbdkit.

    nbdkit -f -U SOCKET python recording-disk.py record=FILE mib=256

FILE is a sequence of entries: one byte (W write, F write through, S flush), the place as u64, the length
as u32, little-endian, then the bytes written. Each entry is in the file before the call is answered, so the
size of the file is a moment in the disk's life. bench/power.mjs reads it.
"""

import builtins
import struct

import nbdkit

API_VERSION = 2
settings = {}
disk = None
record = None


def config(key, value):
    settings[key] = value


def get_ready():
    global disk, record
    disk = bytearray(int(settings["mib"]) << 20)
    record = builtins.open(settings["record"], "wb", buffering=0)


def open(readonly):
    return 1


def get_size(handle):
    return len(disk)


def can_flush(handle):
    return True


def can_fua(handle):
    return nbdkit.FUA_NATIVE


def pread(handle, buffer, offset, flags):
    buffer[:] = disk[offset : offset + len(buffer)]


def pwrite(handle, buffer, offset, flags):
    data = bytes(buffer)
    disk[offset : offset + len(data)] = data
    kind = b"F" if flags & nbdkit.FLAG_FUA else b"W"
    record.write(struct.pack("<cQI", kind, offset, len(data)) + data)


def flush(handle, flags):
    record.write(struct.pack("<cQI", b"S", 0, 0))
