"""A network of TUN devices, one in each of the namespaces of the given processes: packets come late, out of order, or not at all.

Usage: shaper.py PID=ADDRESS...
Reads commands on standard input, a line each, and ends with it:
    delay MILLISECONDS JITTER     each packet takes this long, one way, and up to JITTER more: so they overtake each other
    cut ADDRESS                   drops what goes there and comes from there
    join ADDRESS                  no more
"""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
# As much as waits on the way: a router has no endless memory.
MOST = 4_000

libc = ctypes.CDLL(None, use_errno=True)


def device(pid, address):
    """A TUN device in the network namespace of a process."""
    with open(f"/proc/{pid}/ns/net") as space:
        if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", b"tun0", IFF_TUN | IFF_NO_PI))
    for words in (
        "link set lo up",
        f"addr add {address}/24 dev tun0",
        "link set tun0 mtu 1400 txqueuelen 500 up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return tun


def main():
    ends = dict(word.split("=") for word in sys.argv[1:])
    devices = {socket.inet_aton(address): device(pid, address) for pid, address in ends.items()}
    addresses = {tun: address for address, tun in devices.items()}
    waiting = selectors.DefaultSelector()
    for tun in devices.values():
        waiting.register(tun, selectors.EVENT_READ)
    waiting.register(sys.stdin, selectors.EVENT_READ)
    on_the_way, number = [], 0
    delay = jitter = 0.0
    cut = set()
    print("ready", flush=True)
    while True:
        patience = max(0.0, on_the_way[0][0] - time.monotonic()) if on_the_way else None
        for key, _ in waiting.select(patience):
            if key.fileobj is sys.stdin:
                words = sys.stdin.readline().split()
                if not words:
                    return
                if words[0] == "delay":
                    delay, jitter = float(words[1]) / 1e3, float(words[2]) / 1e3
                elif words[0] == "cut":
                    cut.add(socket.inet_aton(words[1]))
                else:
                    cut.discard(socket.inet_aton(words[1]))
                print("done", flush=True)
                continue
            for _ in range(64):
                try:
                    packet = os.read(key.fileobj, 2048)
                except BlockingIOError:
                    break
                end = devices.get(packet[16:20])
                if packet[0] >> 4 != 4 or end is None or len(on_the_way) >= MOST:
                    continue
                if packet[16:20] in cut or addresses[key.fileobj] in cut:
                    continue
                number += 1
                due = time.monotonic() + delay + random.random() * jitter
                heapq.heappush(on_the_way, (due, number, end, packet))
        now = time.monotonic()
        while on_the_way and on_the_way[0][0] <= now:
            _, _, end, packet = heapq.heappop(on_the_way)
            try:
                os.write(end, packet)
            except OSError:
                pass


main()
