// node crossws_node.mjs PORT ENDPOINT: one of hooks.mjs, or "paths" for all of them by path
import { createServer } from "node:http";
import crossws from "crossws/adapters/node";
import { endpoints, resolve } from "./hooks.mjs";

const [port, endpoint] = process.argv.slice(2);
const ws = crossws(endpoint === "paths" ? { resolve } : { hooks: endpoints[endpoint] });
const server = createServer((request, response) => response.end("ok"));
server.on("upgrade", ws.handleUpgrade);
server.listen(Number(port), "127.0.0.1", 4096);
