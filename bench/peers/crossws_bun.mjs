// bun crossws_bun.mjs PORT ENDPOINT: one of hooks.mjs, or "paths" for all of them by path
import crossws from "crossws/adapters/bun";
import { endpoints, resolve } from "./hooks.mjs";

const [port, endpoint] = process.argv.slice(2);
const ws = crossws(endpoint === "paths" ? { resolve } : { hooks: endpoints[endpoint] });

Bun.serve({
  port: Number(port),
  hostname: "127.0.0.1",
  websocket: ws.websocket,
  fetch(request, server) {
    if (request.headers.get("upgrade") === "websocket") return ws.handleUpgrade(request, server);
    return new Response("ok");
  },
});
