from longwave import Event


def get(event: Event) -> dict[str, str]:
    return {"hello": "world"}
