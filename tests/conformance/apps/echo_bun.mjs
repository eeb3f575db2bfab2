// The echo on Bun: bun echo_bun.mjs PORT
Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("ok");
  },
  websocket: {
    message(socket, data) {
      socket.send(data);
    },
  },
});
