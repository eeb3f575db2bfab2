// The hooks for crossws on Node.js and on Bun. Each server gets the ones of its row alone, without a `resolve`
// that would look at the path of every message.

// The event streams of h3_server.mjs.
export const streams = new Set();

// Node.js is faster when it waits for each, Bun when it does not.
const waits = !process.versions.bun;

export async function push(text) {
  for (const stream of streams) {
    const pushed = stream.push(text);
    if (waits) await pushed;
  }
}

export const endpoints = {
  echo: {
    message(peer, message) {
      peer.send(message.text());
    },
  },

  room: {
    open(peer) {
      peer.subscribe("room");
    },
    message(peer, message) {
      peer.publish("room", message.text());
    },
  },

  mixed: {
    open(peer) {
      peer.subscribe("room");
    },
    message(peer, message) {
      const text = message.text();
      peer.publish("room", text);
      push(text);
    },
  },

  // The chat of Analog's documentation.
  chat: {
    open(peer) {
      peer.send({ user: "server", message: `Welcome ${peer}!` });
      peer.publish("chat", { user: "server", message: `${peer} joined!` });
      peer.subscribe("chat");
    },
    message(peer, message) {
      if (message.text().includes("ping")) {
        peer.send({ user: "server", message: "pong" });
      } else {
        const reply = { user: peer.toString(), message: message.toString() };
        peer.send(reply);
        peer.publish("chat", reply);
      }
    },
    close(peer) {
      peer.publish("chat", { user: "server", message: `${peer} left!` });
    },
  },

  // A thousand topics; each peer listens to all, and what it says goes to one after the other.
  many: {
    turn: 0,
    open(peer) {
      for (let number = 0; number < 1000; number++) peer.subscribe(`topic ${number}`);
    },
    message(peer, message) {
      peer.publish(`topic ${endpoints.many.turn++ % 1000}`, message.text());
    },
  },

  // A topic for each path, beside the room.
  topic: {
    open(peer) {
      peer.subscribe(new URL(peer.request.url).pathname);
    },
  },
};

// For the rows that need several at once.
export function resolve(request) {
  const [, , name] = new URL(request.url).pathname.split("/");
  return endpoints[name] ?? endpoints.topic;
}
