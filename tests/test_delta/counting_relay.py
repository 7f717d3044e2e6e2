"""Forward connections to a server and count what it sends; runs in a separate process, as clients may hold the GIL.

Prints its port. For each line on stdin, prints the bytes received and the Parquet files requested since the last one.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

received = 0
files: set[str] = set()


async def forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, note: Any) -> None:
    try:
        while data := await source.read(1 << 16):
            note(data)
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()


def note_request(data: bytes) -> None:
    files.update(name.decode() for name in re.findall(rb"GET \S*?([^/\s]+\.parquet)", data))


def note_response(data: bytes) -> None:
    global received
    received += len(data)


async def main(port: int) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            forward(reader, server_writer, note_request), forward(server_reader, writer, note_response)
        )

    global received
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"received": received, "files": sorted(files)}), flush=True)
        received = 0
        files.clear()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
