// What the try-it forms speak: event streams as EventSource reads them, and what is filled into a path.

/** Reads text/event-stream as it comes: `take(text)` returns the events that are whole. */
export class EventReader {
  constructor(lastId = "") {
    this.lastId = lastId;
    this.retry = null;
    this.rest = "";
    this.isFirst = true;
    this.reset();
  }

  reset() {
    this.event = "";
    this.data = [];
  }

  take(text) {
    const found = [];
    this.rest += text;
    if (this.isFirst && this.rest) {
      this.isFirst = false;
      if (this.rest.startsWith("\ufeff")) this.rest = this.rest.slice(1);
    }
    // A CR at the end may be the first half of CRLF.
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.rest);
      if (!end) return found;
      const line = this.rest.slice(0, end.index);
      this.rest = this.rest.slice(end.index + end[0].length);
      this.line(line, found);
    }
  }

  line(line, found) {
    if (line === "") {
      if (this.data.length) {
        found.push({ event: this.event || "message", id: this.lastId, data: this.data.join("\n") });
      }
      this.reset();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) {
      found.push({ event: "comment", isComment: true, id: "", data: line.slice(1).trim() });
      return;
    }
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") this.data.push(value);
    else if (name === "event") this.event = value;
    else if (name === "id" && !value.includes("\0")) this.lastId = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }
}

/** The parameters of a pattern: `/users/[id]`, `/files/[...path]`. */
export function parametersOf(pattern) {
  return [...pattern.matchAll(/\[(\.\.\.)?([^\]]*)\]/g)].map(([whole, rest, name]) => ({
    whole,
    name: name || "rest",
    isRest: Boolean(rest),
  }));
}

/** The path of a pattern whose parameters have these values. */
export function fill(pattern, values) {
  let path = pattern;
  parametersOf(pattern).forEach(({ whole, isRest }, index) => {
    const value = values[index] ?? "";
    path = path.replace(whole, () => (
      isRest ? value.split("/").map(encodeURIComponent).join("/") : encodeURIComponent(value)
    ));
  });
  return path;
}

/** The headers of lines `name: value`; throws where a line is none. */
export function headersOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => {
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error(`"${line}" is no header: write name: value`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
}

/** The bytes of hexadecimal digits, with or without spaces; throws for anything else. */
export function fromHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("Bytes are pairs of hexadecimal digits: 01 ff 7a");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
