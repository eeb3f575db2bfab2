// bun bun_stream.mjs PORT: event streams by Bun's own direct streams, without a framework.
const streams = new Set();

Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  idleTimeout: 0,
  async fetch(request) {
    if (request.method === "POST") {
      const event = new TextEncoder().encode(`data: ${await request.text()}\n\n`);
      for (const stream of streams) {
        stream.write(event);
        stream.flush();
      }
      return new Response(null, { status: 204 });
    }
    const body = new ReadableStream({
      type: "direct",
      async pull(controller) {
        streams.add(controller);
        await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        streams.delete(controller);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  },
});
