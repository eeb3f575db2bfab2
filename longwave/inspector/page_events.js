// Errors and reloads: lists of what happened, the newest first.

import { byId, clock, delay, make, several, write } from "./page_dom.js";

const MOST = 100;

/** Tells what is new: the server says what was before each time that the page comes back. */
class News {
  constructor() {
    this.last = 0;
  }

  /** The server is another process, which counts anew. */
  restart() {
    this.last = 0;
  }

  isNew(id) {
    if (id <= this.last) return false;
    this.last = id;
    return true;
  }
}

/** The tab of errors; the same one again is counted. */
export class Errors extends News {
  constructor() {
    super();
    this.list = byId("error-list");
    this.known = new Map();
    this.unseen = 0;
    byId("errors-clear").addEventListener("click", () => {
      this.known.clear();
      this.list.replaceChildren();
      byId("error-empty").hidden = false;
      this.see();
    });
  }

  add(error) {
    if (!this.isNew(error.id)) return;
    const { at, where, text, file, line } = error;
    const key = [where, text, file, line].join("\n");
    let shown = this.known.get(key);
    if (!shown) {
      shown = failure(error);
      this.known.set(key, shown);
    }
    shown.times += 1;
    write(shown.time, clock(at));
    write(shown.count, shown.times > 1 ? `×${shown.times}` : "");
    if (this.list.firstElementChild !== shown.node) this.list.prepend(shown.node);
    while (this.list.childElementCount > MOST) this.list.lastElementChild.remove();
    if (this.known.size > 2 * MOST) {
      for (const [old, { node }] of this.known) if (!node.isConnected) this.known.delete(old);
    }
    byId("error-empty").hidden = true;
    this.unseen += 1;
    this.mark();
  }

  /** Somebody looks at them. */
  see() {
    this.unseen = 0;
    this.mark();
  }

  mark() {
    const badge = byId("errors-badge");
    badge.hidden = this.unseen === 0;
    write(badge, this.unseen > 99 ? "99+" : String(this.unseen));
  }
}

function failure({ level, where, text, file, line, code, traceback }) {
  const time = make("time");
  const times = make("span", { class: "times" });
  const place = file ? `${file}${line ? `:${line}` : ""}` : "";
  const head = [
    time,
    make("span", { class: "what" },
      make("strong", { class: level, text }),
      make("span", { class: "mono soft", text: [place, where].filter(Boolean).join(" · ") })),
    times,
  ];
  const node = make("li", { class: "card" }, code || traceback
    ? make("details", {},
      make("summary", {}, ...head),
      code ? make("pre", { class: "code", text: code }) : null,
      traceback ? make("pre", { text: traceback, tabindex: 0 }) : null)
    : make("div", { class: "line" }, ...head));
  return { node, time, count: times, times: 0 };
}

/** The tab of reloads. */
export class Reloads extends News {
  constructor() {
    super();
    this.list = byId("reload-list");
  }

  add(news) {
    if (!this.isNew(news.id)) return;
    const { title, tone, detail, failures } = described(news);
    this.list.prepend(make("li", { class: "card" },
      make("div", { class: "line" },
        make("time", { text: clock(news.at) }),
        make("span", { class: `tag ${tone}`, text: title }),
        make("span", { class: "what" },
          make("span", { class: "mono", text: (news.files ?? []).join(", ") }),
          make("span", { class: "soft", text: detail }))),
      ...failures.map(problem)));
    while (this.list.childElementCount > MOST) this.list.lastElementChild.remove();
    byId("reload-empty").hidden = true;
  }
}

function problem({ text, file, line, code }) {
  const place = file && !text.includes(file) ? `${file}${line ? `, line ${line}` : ""}: ` : "";
  const more = code && !text.includes(code) ? `\n    ${code}` : "";
  return make("pre", { class: "code", text: `${place}${text}${more}` });
}

function described(news) {
  if (news.kind === "Failed") {
    return {
      title: "failed", tone: "bad", detail: "The code from before goes on.", failures: [news.failure],
    };
  }
  if (news.kind === "Restart") return { title: "restart", tone: "wait", detail: news.why, failures: [] };
  const parts = [
    `in ${delay(news.seconds)}`,
    several(news.modules, "module"),
    several(news.routes.length, "route") + (news.routes.length ? ` (${news.routes.join(", ")})` : ""),
    news.added.length ? `new: ${news.added.join(", ")}` : "",
    news.removed.length ? `gone: ${news.removed.join(", ")}` : "",
    news.is_middleware ? "middleware" : "",
    `${several(news.kept, "socket")} kept`,
    news.closed ? `${several(news.closed, "socket")} closed` : "",
    news.ended ? `${several(news.ended, "stream")} ended` : "",
  ];
  return {
    title: news.mended ? "mended" : "swapped", tone: "good", detail: parts.filter(Boolean).join(" · "),
    failures: news.problems ?? [],
  };
}
