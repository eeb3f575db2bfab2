// A list that grows at its end: events, frames, publications. Bounded, and written once per frame.

import { clock, hex, make, now, size } from "./page_dom.js";

const MOST_TEXT = 4096;

/** The lines of a log; `most` of them at most, the oldest go. */
export class Log {
  constructor(list, { most = 500, empty = "Nothing yet." } = {}) {
    this.list = list;
    this.most = most;
    this.waiting = [];
    this.seen = 0;
    this.isPaused = false;
    this.isAsked = false;
    this.changed = () => {};
    list.dataset.empty = empty;
    list.tabIndex = 0; // what scrolls must be reachable by keyboard
  }

  /** Adds a line: a tag with a colour, what it is about, its text or bytes. */
  add({ at = now(), tag, tone = "", label = "", data = "", total }) {
    this.seen += 1;
    this.waiting.push({ at, tag, tone, label, data, total });
    if (this.waiting.length > this.most) this.waiting.shift();
    this.ask();
    this.changed();
  }

  clear() {
    this.waiting.length = 0;
    this.seen = 0;
    this.list.replaceChildren();
    this.changed();
  }

  pause(isPaused) {
    this.isPaused = isPaused;
    this.ask();
    this.changed();
  }

  ask() {
    if (this.isAsked || this.isPaused) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      if (!this.isPaused) this.write();
    });
  }

  write() {
    const list = this.list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
    list.append(...this.waiting.splice(0).map(line));
    while (list.childElementCount > this.most) list.firstElementChild.remove();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }
}

function line({ at, tag, tone, label, data, total }) {
  return make("li", {},
    make("time", { text: clock(at, 3) }),
    make("span", { class: `tag ${tone}`, text: tag }),
    make("span", { class: "label", text: label, title: label }),
    make("span", { class: "text", text: readable(data, total) }),
  );
}

/** The text of a payload, cut where it is long. */
export function readable(data, total) {
  if (data instanceof Uint8Array) return hex(data);
  if (data.length <= MOST_TEXT && !(total > data.length * 4)) return data;
  return `${data.slice(0, MOST_TEXT)}… ${size(total ?? data.length)} in all`;
}
