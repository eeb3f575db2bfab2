// The page's end of the development server's HMR WebSocket. Served as /_longwave/client.js with its options.

const options = __OPTIONS__;
const here = new URL(import.meta.url);

const QUIET = 20; // ms without another full reload before the page reloads
const LEAVING = 10_000; // ms for which a page that is being left must not reload: that would bring it back
const PATIENCE = 1_000; // ms between two looks for the server

const say = (level, ...words) => console[level]("[longwave]", ...words);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let leftAt = -Infinity;
let reloading;
let socket;
let wasConnected = false;

addEventListener("beforeunload", leave);
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => {
  leftAt = -Infinity;
  // Out of the back-forward cache: what changed meanwhile was told to nobody.
  if (event.persisted && wasConnected && socket.readyState !== WebSocket.OPEN) location.reload();
});
connect(addresses());

// The connection.

function addresses() {
  const scheme = options.protocol ?? (here.protocol === "https:" ? "wss" : "ws");
  const host = options.host ?? here.hostname;
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const at = (port) => new URL(`${scheme}://${name}${port ? `:${port}` : ""}/${options.path.replace(/^\/+/, "")}`).href;
  // A proxy that brought the page may hand no WebSocket on: then there is the port behind it.
  return [...new Set([at(options.port ?? here.port), at(options.direct ?? options.port ?? here.port)])];
}

function open(url, protocol) {
  try {
    return new WebSocket(url, protocol);
  } catch {
    return null; // an https page, and ws
  }
}

function connect([url, ...others]) {
  const began = performance.now();
  let pinging;
  const failed = () => {
    if (others.length) connect(others);
    else say("error", `no connection to ${url}: this page will not follow changes. A proxy on the way has to hand ` +
      "on WebSockets, or server.hmr (host, client_port, path, protocol) has to say how to get round it.");
  };
  const own = (socket = open(`${url}?token=${encodeURIComponent(options.token)}`, "longwave-hmr"));
  if (!own) return failed();
  own.addEventListener("message", ({ data }) => {
    if (!wasConnected) pinging = setInterval(() => own.send('{"type":"ping"}'), options.timeout * 1000);
    wasConnected = true;
    receive(JSON.parse(data));
  });
  own.addEventListener("close", () => {
    clearInterval(pinging);
    // A page that was never connected does not wait for the server: it might reload for ever.
    if (wasConnected) comeBack(url, performance.now() - began);
    else if (!isLeaving()) failed();
  });
}

function leave() {
  leftAt = performance.now();
}

function isLeaving() {
  return performance.now() - leftAt < LEAVING;
}

async function comeBack(url, age) {
  say("info", "connection lost: waiting for the server");
  await sleep(age < PATIENCE ? PATIENCE : 100);
  for (;;) {
    await isVisible();
    if (!isLeaving() && (await answers(url)) && !isLeaving()) return location.reload();
    await sleep(PATIENCE);
  }
}

function isVisible() {
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState !== "visible") return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}

function answers(url) {
  return new Promise((resolve) => {
    const probe = open(url, "longwave-ping");
    const end = (answer) => {
      clearTimeout(limit);
      resolve(answer);
      probe.close();
    };
    const limit = setTimeout(end, options.timeout * 1000, false);
    probe.addEventListener("open", () => end(true));
    probe.addEventListener("error", () => end(false));
  });
}

// What the server says: the payloads of Vite's HMR.

function receive(payload) {
  switch (payload.type) {
    case "connected":
      return say("debug", "connected");
    case "update":
      for (const { type, path, timestamp } of payload.updates) {
        if (type === "css-update") restyle(path, timestamp);
        else reload();
      }
      return;
    case "full-reload":
      if (concerns(payload.path)) reload();
      return;
    case "custom":
      if (payload.event === "longwave:swapped") swapped();
      document.dispatchEvent(new CustomEvent(payload.event, { detail: payload.data, bubbles: true }));
      return;
    case "error":
      return report(payload.err);
  }
}

function reload() {
  hideError();
  clearTimeout(reloading);
  reloading = setTimeout(() => location.reload(), QUIET);
}

// A page concerns itself alone; index.html may be the page of any path, as with Vite.
function concerns(path) {
  if (!path?.endsWith(".html") || path === "/index.html") return true;
  const own = decoded(location.pathname);
  return [own, `${own}index.html`, `${own}/index.html`].includes(path);
}

function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function swapped() {
  hideError();
  // An error's own page shows what is no more.
  if (document.querySelector("script[data-longwave-status]")) reload();
}

// Style sheets: each is exchanged by a copy once that is loaded, so that the page is never without.

const copies = new Map(); // of each sheet that the page had, all copies that are in the page

async function restyle(path, timestamp) {
  const found = owners(path);
  // A sheet that imports another would get that from the cache.
  await Promise.allSettled([...new Set(found.values())].filter(Boolean).map((url) => fetch(url, { cache: "reload" })));
  for (const line of new Set([...found.keys()].map(lineOf))) exchange(line, timestamp);
  if (found.size) say("debug", `new style: ${path}`);
}

// The elements that show a sheet, each with the address at which it imports it, if it does.
function owners(path) {
  const found = new Map();
  // Also those that could not be loaded, which have no sheet.
  for (const element of document.querySelectorAll("link[rel~=stylesheet]")) {
    if (!element.disabled && isAt(element.href, path)) found.set(element, null);
  }
  for (const sheet of document.styleSheets) {
    const imported = !found.has(sheet.ownerNode) && importOf(sheet, path);
    if (imported) found.set(sheet.ownerNode, imported);
  }
  return found;
}

function isAt(href, path) {
  if (!href) return false;
  const url = new URL(href, document.baseURI);
  return url.origin === here.origin && decoded(url.pathname) === path;
}

function importOf(sheet, path) {
  let rules;
  try {
    rules = sheet.cssRules;
  } catch {
    return; // of another origin
  }
  for (const rule of rules) {
    if (!(rule instanceof CSSImportRule)) continue;
    const url = new URL(rule.href, sheet.href ?? document.baseURI).href;
    const found = isAt(url, path) ? url : rule.styleSheet && importOf(rule.styleSheet, path);
    if (found) return found;
  }
}

function lineOf(owner) {
  for (const line of copies.values()) if (line.includes(owner)) return line;
  copies.set(owner, [owner]);
  return copies.get(owner);
}

function exchange(line, timestamp) {
  const last = line.at(-1);
  const before = [...line];
  const copy = last.cloneNode(true);
  copy.removeAttribute("integrity");
  if (last.href) {
    const url = new URL(last.href);
    url.searchParams.set("t", timestamp);
    copy.href = url.href;
  }
  const drop = (nodes) => {
    for (const node of nodes) {
      node.remove();
      if (line.includes(node)) line.splice(line.indexOf(node), 1);
    }
  };
  copy.addEventListener("load", () => drop(before));
  // What cannot be loaded leaves the page as it is.
  copy.addEventListener("error", () => drop([copy]));
  line.push(copy);
  last.after(copy);
}

// The overlay. Text is set as text alone; its style needs no leave of a Content-Security-Policy.

const STYLE = `
:host { all: initial !important; display: block !important }
dialog {
  box-sizing: border-box; width: min(60rem, 100vw - 2rem); max-height: calc(100vh - 4rem); margin: 2rem auto auto;
  padding: 0; border: 0; border-top: 4px solid #ff6b5e; border-radius: 8px; overflow: auto; outline: none;
  color: #e8e6e3; background: #17191c; box-shadow: 0 20px 60px rgb(0 0 0 / .6);
  font: 15px/1.5 system-ui, sans-serif; color-scheme: dark;
}
dialog::backdrop { background: rgb(0 0 0 / .66) }
main { padding: 1.5rem 1.75rem }
h1 { margin: 0 0 .75rem; font: 600 1.15rem/1.4 ui-monospace, monospace; color: #ff8f85; white-space: pre-wrap; overflow-wrap: anywhere }
pre { margin: .75rem 0; padding: .8rem 1rem; overflow-x: auto; border-radius: 6px; background: #0e0f11; font: 13px/1.6 ui-monospace, monospace }
pre.stack { color: #a9a7a3 }
pre.frame { display: grid; grid-template-columns: minmax(100%, max-content); padding: .8rem 0 }
pre.frame span { padding: 0 1rem }
pre.frame .here { color: #fff; background: #5c2320 }
button { all: unset; cursor: pointer; color: #7cc7ff; text-decoration: underline; text-underline-offset: 3px; font: inherit; overflow-wrap: anywhere }
.place { font: 14px/1.5 ui-monospace, monospace }
button:hover { color: #b5e0ff }
button:focus-visible { outline: 2px solid #7cc7ff; outline-offset: 2px; border-radius: 2px }
footer { margin-top: 1rem; padding-top: .9rem; border-top: 1px solid #2c2f34; color: #a9a7a3; font-size: 13px }
kbd { padding: .05rem .35rem; border: 1px solid #4a4e55; border-radius: 4px; font: 12px ui-monospace, monospace }
`;
const PLACE = /File "([^"\n]+)", line (\d+)|([^\s"']+\.\w+)(?::|, line )(\d+)/g;

function report(err) {
  say("error", err.message, err.loc ? `(${err.id}:${err.loc.line})` : "");
  if (options.overlay) showError(err);
}

function hideError() {
  const host = document.querySelector("longwave-error");
  host?.shadowRoot.querySelector("dialog").close();
  host?.remove();
}

function showError({ message, stack, id, frame, loc }) {
  const note = make("span", {}, "Goes away once it is mended.");
  note.setAttribute("role", "status");
  const place = id && (loc ? `${id}:${loc.line}` : id);
  const start = loc && `${id}, line ${loc.line}`;
  const says = withoutCode(message, frame);
  const saysWhere = loc && says.startsWith(start);
  hideError();
  const host = document.createElement("longwave-error");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];

  const dialog = make("dialog", { tabIndex: -1 }, make("main", {},
    make("h1", { id: "message" }, ...(saysWhere
      ? [link(loc.file, loc.line, note, start), says.slice(start.length)]
      : [says])),
    place && !saysWhere && make("div", { className: "place" }, link(loc?.file ?? id, loc?.line, note, place)),
    frame && make("pre", { className: "frame" }, ...lines(frame)),
    stack && make("pre", { className: "stack" }, ...linked(stack, note)),
    make("footer", {}, make("kbd", {}, "Esc"), " or a click outside closes this. ", note)));
  dialog.setAttribute("role", "alertdialog");
  dialog.setAttribute("aria-labelledby", "message");
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => host.remove());
  root.append(dialog);
  document.documentElement.append(host);
  dialog.showModal();
  dialog.focus();
}

function make(name, properties, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children.filter(Boolean));
  return node;
}

function withoutCode(message, frame) {
  const [first, ...rest] = message.split("\n");
  return [first, ...rest.filter((line) => !frame?.includes(line.trim()))].join("\n");
}

function lines(frame) {
  return frame.split("\n").map((line) => make("span", { className: line.startsWith(">") ? "here" : "" }, line));
}

function linked(text, note) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(PLACE)) {
    const [all, quoted, quotedLine, plain, plainLine] = match;
    parts.push(text.slice(end, match.index), link(quoted ?? plain, quotedLine ?? plainLine, note, all));
    end = match.index + all.length;
  }
  return [...parts, text.slice(end)];
}

function link(file, line, note, text) {
  return make("button", { type: "button", title: "Open in the editor", onclick: edit }, text);

  async function edit() {
    const url = new URL("open", here);
    url.search = new URLSearchParams({ file, line: line ?? 1 });
    const reply = await fetch(url, { method: "POST", headers: { "x-longwave-token": options.token } }).catch(() => null);
    if (reply?.ok) return note.replaceChildren(`Opened ${text}.`);
    const why = reply?.status === 501 ? " To open it from here, set LONGWAVE_EDITOR." : "";
    const copied = await navigator.clipboard?.writeText(line ? `${file}:${line}` : file).then(() => true, () => false);
    note.replaceChildren(copied ? `Copied ${text}.${why}` : `Not opened.${why}`);
  }
}
