// The try-it form of a route: a request, an event stream or a WebSocket, from the browser to the real route.

import { byId, delay, hex, make, note, several, size, write } from "./page_dom.js";
import { Log } from "./page_log.js";
import { EventReader, fill, fromHex, headersOf, parametersOf } from "./page_stream.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const MOST_BODY = 256 * 1024;
/** The path that the application is mounted at. */
const PREFIX = location.pathname.replace(/\/_longwave\/.*$/, "");
const DEFAULT_RETRY = 3000;

/** The form; one route at a time. */
export class Try {
  constructor() {
    this.route = null;
    this.socket = null;
    this.running = null;
    this.filled = new Map();
    this.log = new Log(byId("try-log"), { empty: "What comes and goes is listed here." });
    const form = byId("try");
    form.addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.run();
    });
    form.addEventListener("input", () => this.preview());
    form.addEventListener("keydown", (key) => {
      if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) form.requestSubmit();
    });
    byId("try-modes").addEventListener("change", () => this.adapt());
    byId("try-method").addEventListener("change", () => this.adapt());
    byId("try-stop").addEventListener("click", () => this.stop());
    byId("try-clear").addEventListener("click", () => this.log.clear());
    byId("frame").addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.sendFrame();
    });
    byId("frame-text").addEventListener("keydown", (key) => {
      if (key.key === "Enter" && !key.shiftKey) {
        key.preventDefault();
        this.sendFrame();
      }
    });
  }

  /** Shows the form of a route; what ran for another one ends. */
  choose(route) {
    this.stop();
    if (this.route) this.filled.set(nameOf(this.route), fields().map((field) => field.value));
    this.route = route;
    byId("try-none").hidden = true;
    byId("try").hidden = false;
    write(byId("try-name"), route.pattern);
    write(byId("try-source"), route.source || "");
    const isSocket = route.kind === "websocket";
    const methods = METHODS.includes(route.method) ? [route.method] : METHODS;
    byId("try-method").replaceChildren(...methods.map((name) => make("option", { text: name })));
    byId("try-params").replaceChildren(...parametersOf(route.pattern).map(({ name, isRest }) => (
      make("label", {},
        make("span", { text: isRest ? `${name} (a path)` : name }),
        make("input", { autocomplete: "off", spellcheck: "false", required: !isRest }))
    )));
    byId("try-modes").hidden = isSocket;
    byId("mode-http").checked = true;
    const filled = this.filled.get(nameOf(route)) ?? [];
    fields().forEach((field, index) => {
      field.value = filled[index] ?? "";
    });
    this.adapt();
    this.forget();
  }

  get mode() {
    if (this.route.kind === "websocket") return "websocket";
    return byId("mode-sse").checked ? "sse" : "http";
  }

  /** Shows the fields that are of use. */
  adapt() {
    const mode = this.mode;
    byId("try").dataset.mode = mode;
    const method = byId("try-method").value;
    byId("try-method-field").hidden = mode === "websocket";
    byId("try-body-field").hidden = mode !== "http" || method === "GET" || method === "HEAD";
    byId("try-headers-field").hidden = mode === "websocket";
    byId("try-sse-fields").hidden = mode !== "sse";
    byId("try-protocols-field").hidden = mode !== "websocket";
    write(byId("try-go"), { http: "Send", sse: "Open", websocket: "Connect" }[mode]);
    byId("frame").hidden = mode !== "websocket";
    this.preview();
  }

  forget() {
    byId("try-answer").hidden = true;
    byId("try-events").hidden = true;
    this.log.clear();
    this.say("");
  }

  preview() {
    if (this.route) write(byId("try-target"), this.target());
  }

  target() {
    const values = [...byId("try-params").querySelectorAll("input")].map((input) => input.value);
    const query = byId("try-query").value.trim().replace(/^\?/, "");
    return PREFIX + fill(this.route.pattern, values) + (query ? `?${query}` : "");
  }

  say(text, tone = "") {
    const status = byId("try-status");
    write(status, text);
    status.className = `status ${tone}`;
  }

  busy(isBusy) {
    byId("try-go").disabled = isBusy;
    byId("try-stop").hidden = !isBusy;
    write(byId("try-stop"), this.mode === "http" ? "Cancel" : "Close");
  }

  run() {
    if (!this.route || byId("try-go").disabled) return;
    const mode = this.mode;
    byId("try-answer").hidden = true;
    byId("try-events").hidden = mode === "http";
    try {
      if (mode === "websocket") this.connect();
      else this.request(mode).catch((error) => this.say(error.message, "bad"));
    } catch (error) {
      this.say(error.message, "bad");
    }
  }

  stop() {
    this.running?.abort();
    if (this.socket) {
      const code = Number(byId("frame-code").value) || 1000;
      try {
        this.socket.close(code, byId("frame-reason").value);
      } catch (error) {
        this.say(error.message, "bad"); // a code that a page may not send
        return;
      }
    }
  }

  // Requests and event streams.

  async request(mode) {
    const headers = headersOf(byId("try-headers").value);
    const method = byId("try-method").value;
    const body = byId("try-body-field").hidden ? "" : byId("try-body").value;
    const stopper = new AbortController();
    this.running = stopper;
    this.busy(true);
    if (mode === "sse") this.log.clear();
    let lastId = byId("try-last-id").value;
    try {
      for (;;) {
        const more = mode === "sse" ? [["accept", "text/event-stream"]] : [];
        if (mode === "sse" && lastId) more.push(["last-event-id", lastId]);
        const wait = await this.exchange(mode, method, [...more, ...headers], body, stopper.signal, (id) => {
          lastId = id;
        });
        if (wait === null || mode !== "sse" || !byId("try-again").checked) break;
        this.say(`Ended; opens again in ${delay(wait / 1000)}`, "wait");
        await pauseFor(wait, stopper.signal);
      }
    } catch (error) {
      if (stopper.signal.aborted) this.say(mode === "sse" ? "Closed" : "Cancelled");
      else this.say(error.message, "bad");
    }
    if (this.running === stopper) {
      this.running = null;
      this.busy(false);
    }
  }

  /** One request to its end; returns after how many milliseconds EventSource would come back, if it would. */
  async exchange(mode, method, headers, body, signal, keepId) {
    const began = performance.now();
    this.say("Waiting for the answer…", "wait");
    const answer = await fetch(this.target(), { method, headers, body: body || undefined, signal, cache: "no-store" });
    const first = (performance.now() - began) / 1000;
    const summary = `${answer.status} ${answer.statusText} in ${delay(first)}`;
    const isStream = (answer.headers.get("content-type") ?? "").startsWith("text/event-stream");
    showHeaders(answer);
    if (answer.body && isStream) {
      byId("try-events").hidden = false;
      this.say(`${summary}: open`, "good");
      return this.follow(answer.body, keepId, signal);
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const took = (performance.now() - began) / 1000;
    const where = answer.redirected ? `, redirected to ${new URL(answer.url).pathname}` : "";
    this.say(`${answer.status} ${answer.statusText} in ${delay(took)}, ${size(bytes.length)}${where}`,
      answer.ok ? "good" : "bad");
    showBody(answer, bytes);
    return null;
  }

  async follow(body, keepId, signal) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const events = new EventReader();
    let end = "The server has ended the stream";
    for (;;) {
      const { value, done } = await reader.read().catch(() => {
        signal.throwIfAborted();
        end = "The connection was lost";
        return { done: true };
      });
      if (done) break;
      for (const { event, id, data, isComment } of events.take(value)) {
        this.log.add({ tag: event, tone: isComment ? "dim" : "in", label: id && `id ${id}`, data });
      }
      if (events.lastId) {
        keepId(events.lastId);
        byId("try-last-id").value = events.lastId;
      }
    }
    this.say(`${end} after ${several(this.log.seen, "line")}`);
    this.log.add({ tag: "end", tone: "dim", data: end });
    return events.retry ?? DEFAULT_RETRY;
  }

  // WebSockets.

  connect() {
    const url = new URL(this.target(), location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const protocols = byId("try-protocols").value.split(",").map((name) => name.trim()).filter(Boolean);
    const socket = new WebSocket(url, protocols);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.log.clear();
    this.busy(true);
    this.say("Connecting…", "wait");
    const began = performance.now();
    const isCurrent = () => this.socket === socket;
    socket.onopen = () => {
      if (!isCurrent()) return;
      const protocol = socket.protocol ? `, subprotocol ${socket.protocol}` : "";
      this.say(`Open after ${delay((performance.now() - began) / 1000)}${protocol}`, "good");
      this.log.add({ tag: "open", tone: "dim", data: url.href });
      byId("frame-send").disabled = false;
      byId("frame-text").focus({ preventScroll: true });
    };
    socket.onmessage = ({ data }) => {
      if (!isCurrent()) return;
      const bytes = typeof data === "string" ? data : new Uint8Array(data);
      this.log.add({ tag: "received", tone: "in", label: size(lengthOf(bytes)), data: bytes });
    };
    socket.onclose = ({ code, reason, wasClean }) => {
      if (!isCurrent()) return;
      this.socket = null;
      byId("frame-send").disabled = true;
      this.busy(false);
      const text = `Closed with ${code}${reason ? ` "${reason}"` : ""}${wasClean ? "" : ", not in order"}`;
      this.log.add({ tag: "close", tone: wasClean ? "dim" : "bad", data: text });
      this.say(text, wasClean ? "" : "bad");
    };
  }

  sendFrame() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const field = byId("frame-text");
    try {
      const data = byId("frame-binary").checked ? fromHex(field.value) : field.value;
      this.socket.send(data);
      this.log.add({ tag: "sent", tone: "out", label: size(lengthOf(data)), data });
      field.select();
    } catch (error) {
      this.say(error.message, "bad");
    }
  }
}

const FIELDS = ["try-query", "try-headers", "try-body", "try-last-id", "try-protocols"];

/** What is filled in for a route: it is there again when somebody comes back to it. */
function fields() {
  return [...FIELDS.map(byId), ...byId("try-params").querySelectorAll("input")];
}

const nameOf = ({ kind, method, pattern }) => `${kind} ${method} ${pattern}`;

function lengthOf(data) {
  return typeof data === "string" ? new TextEncoder().encode(data).length : data.length;
}

function showHeaders(answer) {
  byId("try-answer").hidden = false;
  byId("answer-headers").replaceChildren(...[...answer.headers].flatMap(([name, value]) => [
    make("dt", { text: name }), make("dd", { text: value }),
  ]));
  write(byId("answer-body"), "");
  byId("answer-body").hidden = true;
}

function showBody(answer, bytes) {
  const type = answer.headers.get("content-type") ?? "";
  const isText = /^text\/|json|xml|javascript|x-www-form-urlencoded/.test(type) || !bytes.includes(0);
  let text = isText ? new TextDecoder().decode(bytes.subarray(0, MOST_BODY)) : hex(bytes);
  if (type.includes("json") && bytes.length <= MOST_BODY) {
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Shown as it came.
    }
  }
  if (isText && bytes.length > MOST_BODY) text += `\n… ${size(bytes.length)} in all`;
  note(byId("answer-body"), text);
}

function pauseFor(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
