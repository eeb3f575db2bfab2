// The server under test on Node.js with the npm package ws: node echo_node.mjs PORT
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const begun = new Map();
const whole = new Map();

function take(map, port, otherwise) {
  const found = map.get(port) ?? otherwise;
  map.delete(port);
  return found;
}

const server = createServer((request, response) => {
  if (request.url.startsWith("/seen/")) {
    const port = Number(request.url.slice("/seen/".length));
    response.end(JSON.stringify({ begun: take(begun, port, 0), whole: take(whole, port, []) }));
    return;
  }
  const port = request.socket.remotePort;
  begun.set(port, (begun.get(port) ?? 0) + 1);
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("error", () => {});
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("latin1");
    whole.set(port, [...(whole.get(port) ?? []), [request.method, request.url, body]]);
    response.end("ok");
  });
});

const sockets = new WebSocketServer({
  server,
  path: "/ws",
  handleProtocols: (offered) => ["chat.v2", "chat.v1"].find((name) => offered.has(name)) ?? false,
});
sockets.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
