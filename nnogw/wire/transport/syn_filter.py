"""A listening TCP socket that lets nobody new in, and finishes with those who have begun to connect."""

from __future__ import annotations

import ctypes
import socket
import struct
import sys

#: ``SO_ATTACH_FILTER`` of Linux (asm-generic/socket.h), which Python does not name.
_SO_ATTACH_FILTER = 26
_FLAGS = 13  # where the flags stand in a TCP header (RFC 9293 §3.1), at which the kernel begins to look
_SYN, _ACK = 0x02, 0x10
#: The filter, in classic BPF: what has SYN and not ACK is dropped, everything else passes.
_PROGRAM = (
    (0x30, 0, 0, _FLAGS),  # load the byte
    (0x54, 0, 0, _SYN | _ACK),  # and
    (0x15, 0, 1, _SYN),  # equal: go on, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)


def let_nobody_in(listening: socket.socket) -> bool:
    """Let `listening` take no further connection; those whose handshake has begun come through.

    A listening socket that is closed resets the connections that the kernel has completed since the last ``accept``, and their clients
    lose a request each. After this nothing is completed that had not begun: accept what is there, and close. Who connects meanwhile tries
    again after a second, as TCP does, and finds that nobody listens.

    Returns:
        Whether it worked: the kernel has to be Linux, and the socket a TCP socket.
    """
    if sys.platform != "linux" or listening.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in _PROGRAM)
    memory = ctypes.create_string_buffer(code, len(code))
    try:
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_PROGRAM), ctypes.addressof(memory)))
    except OSError:  # a kernel or a sandbox without filters
        return False
    return True
