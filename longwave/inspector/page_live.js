// Live: the WebSockets and event streams of this worker. Also the number of rows that is asked for.

import { Rows, byId, count, make, note, size, span, textRow, write } from "./page_dom.js";

const KINDS = { websocket: "WebSocket", stream: "Stream" };

const TEXTS = new Set(["kind", "path", "address", "user"]);

const COLUMNS = [
  { name: "kind", label: "Kind", kind: "kind", value: (row) => KINDS[row.kind] ?? row.kind },
  { name: "path", label: "Path", kind: "mono clip", hint: (row) => row.path, value: (row) => row.path },
  { name: "address", label: "Address", kind: "mono clip", hint: (row) => row.address, value: (row) => row.address },
  { name: "age", label: "Age", kind: "number", value: (row) => span(row.age) },
  { name: "received", label: "Received", kind: "number", value: (row) => (
    row.kind === "stream" ? "" : `${count(row.received)} · ${size(row.received_bytes)}`) },
  { name: "sent", label: "Sent", kind: "number", value: (row) => `${count(row.sent)} · ${size(row.sent_bytes)}` },
  { name: "buffered", label: "Buffer", kind: "number", value: (row) => size(row.buffered) },
  { name: "topics", label: "Topics", kind: "mono clip", hint: (row) => row.topics.join(", "), value: (row) => row.topics.join(", ") },
  { name: "user", label: "User", kind: "clip", hint: (row) => row.user ?? "", value: (row) => row.user ?? "" },
];

/** The tab; `link` is what it asks and closes peers by. */
export class Live {
  constructor(link) {
    this.link = link;
    this.sort = "age";
    this.buttons = new Map();
    byId("live-head").append(
      make("tr", {}, ...COLUMNS.map((column) => this.heading(column)), make("th", { class: "act" },
        make("span", { class: "quiet", text: "Close" }))),
    );
    this.rows = new Rows(byId("live-rows"), (row) => row.id, () => this.build());
    // On a narrow screen there are no headings.
    byId("live-sort").append(...COLUMNS.map(({ name, label }) => make("option", { value: name, text: label })));
    byId("live-sort").addEventListener("change", (event) => this.order(event.target.value));
    byId("live-filter").addEventListener("input", () => this.ask());
    byId("live-limit").addEventListener("change", () => this.ask());
    this.mark();
  }

  /** What the server is asked for while the tab is shown. */
  wanted() {
    return { filter: byId("live-filter").value, sort: this.sort, limit: Number(byId("live-limit").value) };
  }

  ask() {
    this.link.want({ connections: this.wanted() });
  }

  order(name) {
    this.sort = name;
    this.mark();
    this.ask();
  }

  heading({ name, label, kind }) {
    const button = make("button", { type: "button", class: "sort", text: label, onclick: () => this.order(name) });
    const cell = make("th", { class: kind.replace("mono", ""), scope: "col" }, button);
    this.buttons.set(name, cell);
    return cell;
  }

  mark() {
    byId("live-sort").value = this.sort;
    for (const [name, cell] of this.buttons) {
      if (name === this.sort) cell.setAttribute("aria-sort", TEXTS.has(name) ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    }
  }

  build() {
    let id = null;
    const button = make("button", { type: "button", class: "small", text: "Close", onclick: async () => {
      button.disabled = true;
      const answer = await this.link.ask({ do: "close", id });
      if (answer.ok) {
        write(button, "Closed");
      } else {
        button.disabled = false;
        note(byId("live-note"), answer.error ?? "The server did not close it.");
      }
    } });
    const row = textRow(COLUMNS, make("td", { class: "act" }, button));
    return {
      node: row.node,
      update(item) {
        if (id !== item.id) {
          id = item.id;
          row.node.dataset.id = id;
          button.setAttribute("aria-label", `Close ${item.path} of ${item.address}`);
        }
        row.update(item);
      },
    };
  }

  show({ connections }) {
    const { total, matching, rows } = connections;
    const of = matching === total ? "" : `, of ${count(total)} in all`;
    write(byId("live-count"), rows.length < matching
      ? `showing ${count(rows.length)} of ${count(matching)}${of}`
      : `${count(matching)}${of}`);
    this.rows.show(rows);
    byId("live-empty").hidden = rows.length > 0;
    write(byId("live-empty"), total ? "None matches the filter." : "No WebSocket or event stream is open.");
  }
}
