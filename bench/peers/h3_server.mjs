// node h3_server.mjs PORT, or bun h3_server.mjs PORT: JSON, event streams, and WebSockets that share their topic.
import { plugin as websockets } from "crossws/server";
import { createEventStream, H3, noContent, serve } from "h3";
import { endpoints, push, streams } from "./hooks.mjs";

const app = new H3();

app.get("/json", () => ({ message: "Hello, world!" }));

app.get("/sse", (event) => {
  const stream = createEventStream(event);
  streams.add(stream);
  stream.onClosed(() => streams.delete(stream));
  return stream.send();
});

app.post("/sse", async (event) => {
  await push(await event.req.text());
  return noContent();
});

serve(app, {
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  silent: true,
  bun: { idleTimeout: 0 },
  plugins: [websockets(endpoints.mixed)],
});
