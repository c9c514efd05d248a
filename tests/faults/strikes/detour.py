"""A way to the broker on which every piece waits: `detour.py HOST PORT SECONDS`."""

import asyncio
import sys
from contextlib import suppress

#: What a link by satellite takes.
DELAY_SECONDS = 0.3
PIECE_BYTES = 4096


async def main(host: str, port: int, seconds: float) -> None:
    """Carry connections to HOST for a time, then break them."""

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await source.read(PIECE_BYTES):
                await asyncio.sleep(DELAY_SECONDS)
                target.write(piece)
                await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection(host, 5672)
            await asyncio.gather(carry(reader, back), carry(there, writer))
        writer.close()

    # Closing it would wait for its connections, which are to break.
    _ = await asyncio.start_server(serve, "0.0.0.0", port)  # noqa: S104 # from other pods
    await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
