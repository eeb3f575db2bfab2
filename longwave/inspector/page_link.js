// The page's WebSocket to the server: what it wants to see, what it asks, and coming back after an end.

const PROTOCOL = "longwave-inspector";
const FIRST_WAIT = 200;
const LONGEST_WAIT = 2000;

/** One connection while the tab is visible; `heard` gets each message, `changed` the state. */
export class Link {
  constructor({ heard, changed }) {
    this.heard = heard;
    this.changed = changed;
    this.state = "connecting";
    this.socket = null;
    this.view = {};
    this.asked = new Map();
    this.last = 0;
    this.wait = FIRST_WAIT;
    this.timer = null;
    this.isSending = false;
    document.addEventListener("visibilitychange", () => this.look());
    addEventListener("pagehide", () => this.leave());
    addEventListener("pageshow", () => this.look());
  }

  /** Opens it, and keeps it open while somebody can see the page. */
  look() {
    if (document.hidden) {
      // Not when tabs are only flicked through.
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.leave(), 1000);
    } else if (this.socket === null) {
      this.open();
    } else {
      clearTimeout(this.timer);
    }
  }

  leave() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.become("resting");
    this.fail("The connection was closed.");
  }

  /** Says what is wanted; several changes of one turn are one message. */
  want(part) {
    Object.assign(this.view, part);
    if (this.isSending) return;
    this.isSending = true;
    queueMicrotask(() => {
      this.isSending = false;
      this.tell({ do: "view", ...this.view });
    });
  }

  /** Asks for something to be done; resolves with the answer, never fails. */
  ask(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) {
      return Promise.resolve({ ok: false, error: "Not connected to the server." });
    }
    this.last += 1;
    const to = this.last;
    this.tell({ ...message, to });
    return new Promise((resolve) => this.asked.set(to, resolve));
  }

  tell(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.changed(state);
  }

  open() {
    clearTimeout(this.timer);
    const url = new URL("inspector", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    url.searchParams.set("token", token());
    const socket = new WebSocket(url, PROTOCOL);
    this.socket = socket;
    socket.onopen = () => this.tell({ do: "view", ...this.view });
    socket.onmessage = ({ data }) => {
      if (this.socket === socket) this.take(JSON.parse(data));
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.become("reconnecting");
      this.fail("The connection was lost.");
      clearTimeout(this.timer);
      if (!document.hidden) this.timer = setTimeout(() => this.renew(), this.wait);
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    };
  }

  take(message) {
    if (message.type === "answer") {
      this.asked.get(message.to)?.(message);
      this.asked.delete(message.to);
      return;
    }
    if (message.type === "hello") {
      this.wait = FIRST_WAIT;
      this.become("open");
    }
    this.heard(message);
  }

  /** Opens it anew, with the token of a server that may be another one by now. */
  async renew() {
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
      if (answer.status === 401) location.reload(); // it has a form for the token
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("meta[name=longwave-token]");
      if (fresh) document.querySelector("meta[name=longwave-token]").content = fresh.content;
    } catch {
      // Nobody answers: the attempt below fails too, and is made again.
    }
    if (this.socket === null && !document.hidden) this.open();
  }

  fail(error) {
    for (const resolve of this.asked.values()) resolve({ ok: false, error });
    this.asked.clear();
  }
}

function token() {
  return document.querySelector("meta[name=longwave-token]").content;
}
