from longwave import Event, EventStream, create_event_stream


def get(event: Event) -> EventStream:
    stream = create_event_stream(event)
    stream.subscribe("news")
    return stream


async def post(event: Event) -> dict[str, bool]:
    event.app.publish("news", await event.text())
    return {"ok": True}
