// Overview: what runs, how much goes on, what happened last. Also all counters and limits.

import { Rows, byId, clock, count, delay, make, several, size, span, textRow, write } from "./page_dom.js";

const SECONDS = 60;
const MOST_ACTIVITY = 100;
const SVG = "http://www.w3.org/2000/svg";

const TILES = [
  { label: "WebSockets", value: (now) => now.counters.peers ?? 0 },
  { label: "Event streams", value: (now) => now.counters.streams ?? 0 },
  { label: "Requests / s", value: (now, last) => rate(now, last, "server.requests") },
  { label: "Publications / s", value: (now, last) => rate(now, last, "published") },
  { label: "Deliveries / s", value: (now, last) => rate(now, last, "deliveries") },
  { label: "Loop lag", unit: "ms", value: (now) => now.loop_lag_ms ?? 0 },
];

function rate(now, last, name) {
  if (!last || now.at <= last.at) return 0;
  return Math.max(0, ((now.counters[name] ?? 0) - (last.counters[name] ?? 0)) / (now.at - last.at));
}

/** The tab of the numbers. */
export class Overview {
  constructor() {
    this.last = null;
    this.tiles = TILES.map((tile) => this.tile(tile));
    this.passed = new Rows(byId("passed"), ([name]) => name, () => {
      const text = make("span");
      const node = make("li", {}, text);
      return { node, update: ([name, times]) => write(text, `${name}: passed ${several(times, "time")}`) };
    });
  }

  tile({ label, unit, value }) {
    const number = make("strong", { text: "–" });
    const most = make("small");
    const line = document.createElementNS(SVG, "polyline");
    const area = document.createElementNS(SVG, "polygon");
    const chart = document.createElementNS(SVG, "svg");
    chart.setAttribute("viewBox", `0 0 ${SECONDS - 1} 32`);
    chart.setAttribute("preserveAspectRatio", "none");
    chart.setAttribute("aria-hidden", "true");
    chart.append(area, line);
    byId("tiles").append(make("div", { class: "tile" },
      make("span", { class: "name", text: label }),
      make("span", { class: "figure" }, number, unit ? make("span", { class: "unit", text: unit }) : null),
      chart, most));
    const past = [];
    return (now, last) => {
      const figure = value(now, last);
      past.push(figure);
      if (past.length > SECONDS) past.shift();
      write(number, count(figure));
      const top = Math.max(...past);
      write(most, `most in a minute: ${count(top)}${unit ? ` ${unit}` : ""}`);
      const first = SECONDS - past.length;
      const points = past.map((each, index) => `${first + index},${(30 - (top ? each / top : 0) * 27).toFixed(1)}`);
      line.setAttribute("points", points.join(" "));
      area.setAttribute("points", `${first},32 ${points.join(" ")} ${SECONDS - 1},32`);
    };
  }

  /** Says what runs. */
  greet({ version, mode, node, routes, features }) {
    const lines = [
      ["Version", version], ["Mode", mode], ["Node", node], ["Routes", count(routes.length)],
      ["Features", features.length ? features.join(", ") : "none"],
    ];
    byId("facts").replaceChildren(...lines.flatMap(([name, value]) => [
      make("dt", { text: name }), make("dd", { class: "mono", text: value ?? "" }),
    ]));
  }

  /** Takes the numbers of a second, also while another tab is shown: the lines go on. */
  take(now) {
    for (const tile of this.tiles) tile(now, this.last);
    this.last = now;
    const passed = Object.entries(now.counters).filter(([name, times]) => (
      isLimit(name) && times > 0 && !ORDINARY.has(name)));
    this.passed.show(passed);
    byId("passed-section").hidden = passed.length === 0;
  }

  /** The server is another one: its counters begin anew. */
  restart() {
    this.last = null;
  }
}

/** What happened last: requests, and connections that came and went. */
export class Activity {
  constructor() {
    this.list = byId("activity");
    this.waiting = [];
  }

  add(message) {
    const begun = this.waiting.length > 0;
    this.waiting.unshift(message);
    if (this.waiting.length > MOST_ACTIVITY) this.waiting.pop();
    if (!begun) requestAnimationFrame(() => this.write());
  }

  write() {
    this.list.prepend(...this.waiting.splice(0).map(happening));
    while (this.list.childElementCount > MOST_ACTIVITY) this.list.lastElementChild.remove();
    byId("activity-empty").hidden = true;
  }
}

function happening({ type, at, method, path, status, seconds, kind, code, received, sent }) {
  const cells = {
    request: [method, String(status), status >= 400 ? "bad" : "", delay(seconds ?? 0)],
    opened: [method, "open", "good", kind === "stream" ? "event stream" : "WebSocket"],
    closed: [method, kind === "stream" ? "end" : String(code ?? "end"), "",
      `after ${span(seconds ?? 0)}, ${count(received ?? 0)} in, ${count(sent ?? 0)} out`],
  }[type];
  const [what, outcome, tone, detail] = cells;
  return make("li", {},
    make("time", { text: clock(at) }),
    make("span", { class: "method", text: what ?? "" }),
    make("span", { class: "path", text: path, title: path }),
    make("span", { class: `outcome ${tone}`, text: outcome }),
    make("span", { class: "detail", text: detail }),
  );
}

/** What is passed in the ordinary course of things, and is no reason to worry. */
const ORDINARY = new Set([
  "limits.messages_per_turn", "timeouts.turn", "timeouts.ping", "timeouts.heartbeat", "timeouts.keep_alive",
]);

const isLimit = (name) => name.startsWith("limits.") || name.startsWith("timeouts.");

/** The tab of limits and counters. */
export class Figures {
  constructor() {
    this.limits = new Rows(byId("limit-rows"), (row) => row.name, () => {
      const row = textRow([
        { label: "Setting", kind: "mono", value: (item) => item.name },
        { label: "Value", kind: "number", value: (item) => item.text },
        { label: "Passed", kind: "number", value: (item) => (item.passed ? count(item.passed) : "") },
      ]);
      return {
        node: row.node,
        update(item) {
          row.update(item);
          row.node.classList.toggle("passed", item.passed > 0 && !ORDINARY.has(item.name));
        },
      };
    });
    this.counters = new Rows(byId("counter-rows"), ([name]) => name, () => textRow([
      { label: "Counter", kind: "mono", value: ([name]) => name },
      { label: "Count", kind: "number", value: ([, number]) => count(number) },
    ]));
  }

  show({ limits, counters }) {
    this.limits.show(Object.entries(limits).map(([name, value]) => ({
      name, text: limitText(name, value), passed: counters[name] ?? 0,
    })));
    this.counters.show(Object.entries(counters).filter(([name]) => !isLimit(name)));
  }
}

const BYTES = new Set(["request_line", "headers", "body", "message", "outgoing", "outgoing_total", "unfinished_total"]);

function limitText(name, value) {
  const [group, short] = name.split(".");
  if (value === 0) return "0";
  if (group === "timeouts") return value < 1 ? delay(value) : `${count(value)} s`;
  return BYTES.has(short) ? size(value) : count(value);
}
