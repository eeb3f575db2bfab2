// The inspector's page: its tabs, and where each message of the server goes.

import { Rows, byId, count, make, several, span, textRow, write } from "./page_dom.js";
import { Errors, Reloads } from "./page_events.js";
import { Link } from "./page_link.js";
import { Live } from "./page_live.js";
import { Activity, Figures, Overview } from "./page_overview.js";
import { Topics } from "./page_topics.js";
import { Try } from "./page_try.js";

const TABS = ["overview", "routes", "live", "topics", "errors", "reloads", "limits"];
/** Milliseconds by which two greetings of one process may differ. */
const SAME = 1000;
const STATES = { connecting: "Connecting", open: "Connected", reconnecting: "Reconnecting", resting: "Resting" };

let tab = "overview";
let latest = null;
let started = null;

const link = new Link({ heard, changed });
const overview = new Overview();
const activity = new Activity();
const live = new Live(link);
const topics = new Topics(link);
const errors = new Errors();
const reloads = new Reloads();
const figures = new Figures();
const trial = new Try();
const routes = new Rows(byId("route-rows"), (route) => `${route.kind} ${route.method} ${route.pattern}`, routeRow);
let table = [];

function heard(message) {
  const { type } = message;
  if (type === "state") {
    latest = message;
    overview.take(message);
    const left = message.dropped ? `${several(message.dropped, "message")} left out` : "";
    for (const node of [byId("activity-left"), byId("tail-left")]) write(node, left);
    paint();
  } else if (type === "hello") {
    greet(message);
  } else if (type === "publication") {
    topics.add(message);
  } else if (type === "error") {
    errors.add(message);
    if (tab === "errors") errors.see();
  } else if (type === "reload") {
    reloads.add(message);
    if (message.routes_now) showRoutes(message.routes_now);
  } else if (type === "request" || type === "opened" || type === "closed") {
    activity.add(message);
  }
}

function changed(state) {
  document.body.dataset.state = state;
  write(byId("link-state"), STATES[state]);
}

function greet(hello) {
  const before = started;
  started = performance.now() - hello.uptime * 1000;
  if (before !== null && Math.abs(started - before) > SAME) {
    overview.restart();
    errors.restart();
    reloads.restart();
  }
  overview.greet(hello);
  showRoutes(hello.routes);
  write(byId("mode"), hello.mode);
  tick();
}

function tick() {
  if (started !== null) write(byId("uptime"), `up ${span((performance.now() - started) / 1000)}`);
}

/** Shows the newest numbers in the tab that is open. */
function paint() {
  if (latest === null) return;
  if (tab === "live") live.show(latest);
  else if (tab === "topics") topics.show(latest);
  else if (tab === "limits") figures.show(latest);
  tick();
}

// Tabs: the hash names the one that is shown, so that links, back and forward work.

function turn() {
  const wanted = location.hash.slice(1);
  tab = TABS.includes(wanted) ? wanted : "overview";
  for (const name of TABS) byId(name).hidden = name !== tab;
  for (const anchor of document.querySelectorAll("nav a")) {
    if (anchor.hash === `#${tab}`) {
      anchor.setAttribute("aria-current", "page");
      anchor.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else {
      anchor.removeAttribute("aria-current");
    }
  }
  document.title = `${byId(tab).dataset.title} · Longwave inspector`;
  link.want({
    connections: tab === "live" ? live.wanted() : null,
    topics: tab === "topics" ? topics.wanted() : null,
    tail: tab === "topics" ? topics.tail() : null,
  });
  if (tab === "errors") errors.see();
  scrollTo(0, 0);
  paint();
}

// Routes.

function showRoutes(list) {
  table = list;
  filterRoutes();
}

function filterRoutes() {
  const words = byId("route-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = table.filter((route) => {
    const text = [route.method, route.pattern, route.kind, route.source].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  routes.show(shown);
  write(byId("route-count"), shown.length < table.length
    ? `${count(shown.length)} of ${count(table.length)}` : count(table.length));
  byId("route-empty").hidden = shown.length > 0;
  write(byId("route-empty"), table.length ? "None matches the filter." : "This project has no routes.");
}

function routeRow(route) {
  let current = route;
  const row = textRow([
    {
      label: "File",
      kind: "mono clip soft",
      hint: (each) => each.source,
      value: (each) => each.source.replace("src/server/", ""),
    },
  ]);
  const method = make("span", { class: "method" });
  const button = make("button", { type: "button", class: "link mono", onclick: () => {
    for (const other of byId("route-rows").children) other.classList.toggle("chosen", other === row.node);
    trial.choose(current);
    if (matchMedia("(max-width: 60rem)").matches) byId("try").scrollIntoView({ behavior: "smooth" });
  } });
  row.node.prepend(make("td", { class: "way" }, method), make("td", { class: "clip" }, button));
  return {
    node: row.node,
    update(item) {
      current = item;
      const isSocket = item.kind === "websocket";
      write(method, isSocket ? "WS" : item.method ?? "ANY");
      method.dataset.method = isSocket ? "WS" : item.method ?? "ANY";
      write(button, item.pattern);
      button.setAttribute("aria-label", `Try ${isSocket ? "WebSocket" : item.method ?? "any method"} ${item.pattern}`);
      row.update(item);
    },
  };
}

byId("route-filter").addEventListener("input", filterRoutes);
addEventListener("hashchange", turn);
turn();
link.look();
