// Elements, tables whose rows stay where they are, and how numbers are written.
// Whatever comes from the server is set as text: nothing here parses markup.

/** Makes an element; `on…` properties are listeners, `text` its text, the rest attributes. */
export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/** Sets the text of a node where it differs, so that what is selected stays selected. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows one text in place of all that is in a list or table, or nothing. */
export function note(node, text) {
  node.hidden = text === "";
  write(node, text);
}

/**
 * The rows of a table, each of which belongs to a key and is updated in place.
 *
 * `build(item)` returns `{ node, update(item) }`. While the pointer or the keyboard is at the rows, or
 * text of them is selected, they keep their order, and those that are gone are dimmed, not taken away: nothing
 * moves below a hand that is about to click.
 */
export class Rows {
  constructor(body, keyOf, build) {
    this.body = body;
    this.keyOf = keyOf;
    this.build = build;
    this.rows = new Map();
    this.items = [];
    this.isHeld = false;
    body.addEventListener("pointerleave", () => this.release());
    body.addEventListener("focusout", () => setTimeout(() => this.release()));
  }

  show(items) {
    this.items = items;
    const isHeld = this.isBusy();
    this.isHeld = isHeld;
    const fresh = new Set();
    let at = this.body.firstElementChild;
    for (const item of items) {
      const key = this.keyOf(item);
      fresh.add(key);
      let row = this.rows.get(key);
      if (!row) {
        row = this.build(item);
        this.rows.set(key, row);
        this.body.insertBefore(row.node, isHeld ? null : at);
      } else if (!isHeld) {
        if (row.node === at) at = at.nextElementSibling;
        else this.body.insertBefore(row.node, at);
      }
      row.node.classList.remove("gone");
      row.update(item);
    }
    for (const [key, row] of this.rows) {
      if (fresh.has(key)) continue;
      if (isHeld) {
        row.node.classList.add("gone");
      } else {
        row.node.remove();
        this.rows.delete(key);
      }
    }
  }

  release() {
    if (this.isHeld && !this.isBusy()) this.show(this.items);
  }

  isBusy() {
    // A click leaves the focus where it was made; only the keyboard's counts.
    if (this.body.matches(":hover") || this.body.querySelector(":focus-visible")) return true;
    const selection = document.getSelection();
    return !selection.isCollapsed && this.body.contains(selection.anchorNode);
  }
}

/** Makes a row of text cells: `columns` are `{ label, kind, value(item) }`, and `hint(item)` for what may be cut. */
export function textRow(columns, ...more) {
  const cells = columns.map((column) => make("td", { class: column.kind, "data-label": column.label }));
  return {
    node: make("tr", {}, ...cells, ...more),
    update(item) {
      columns.forEach((column, index) => {
        const text = String(column.value(item) ?? "");
        write(cells[index], text);
        if (column.hint) cells[index].title = column.hint(item) ?? "";
      });
    },
  };
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 12,345; parts of one are shown for small numbers. */
export function count(number) {
  return (Math.abs(number) < 10 && !Number.isInteger(number) ? fine : plain).format(number);
}

/** 1.5 KiB. */
export function size(bytes) {
  let unit = 0;
  let number = bytes;
  while (number >= 1024 && unit < 4) {
    number /= 1024;
    unit += 1;
  }
  return `${unit && number < 10 ? number.toFixed(1) : plain.format(number)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/** 8 s, 3 m 12 s, 5 h 2 m, 3 d 4 h. */
export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [
    Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60,
  ];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} m`;
  return m ? `${m} m ${s} s` : `${s} s`;
}

/** 0.4 ms, 12 ms, 1.2 s. */
export function delay(seconds) {
  const ms = seconds * 1000;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The time of day of Unix seconds. */
export function clock(at, digits = 0) {
  const time = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const text = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return digits ? `${text}.${String(time.getMilliseconds()).padStart(3, "0")}` : text;
}

/** Now, in Unix seconds. */
export const now = () => Date.now() / 1000;

/** 1 socket, 2 sockets. */
export const several = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

/** The first bytes as hexadecimal, sixteen at a time. */
export function hex(bytes, most = 256) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, most); at += 16) {
    const part = [...bytes.subarray(at, Math.min(at + 16, most))];
    const pairs = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const signs = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "."));
    lines.push(`${pairs.padEnd(bytes.length > 16 ? 47 : 0)}  ${signs.join("")}`);
  }
  if (bytes.length > most) lines.push(`… ${size(bytes.length)} in all`);
  return lines.join("\n");
}

/** The bytes of base64 text. */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
