import asyncio
from datetime import datetime

from longwave import Event, EventStream, create_event_stream, define_event_handler


@define_event_handler
async def handler(event: Event) -> EventStream:
    stream = create_event_stream(event)

    async def tick() -> None:
        while True:
            await stream.push(f"Message @ {datetime.now():%X}")
            await asyncio.sleep(1)

    interval = asyncio.create_task(tick())

    @stream.on_closed
    async def stop() -> None:
        interval.cancel()
        await stream.close()

    return stream.send()
