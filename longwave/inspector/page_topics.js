// Topics: who listens, how much is published, a live tail, and publishing by hand.

import { Rows, byId, count, fromBase64, make, size, several, textRow, write } from "./page_dom.js";
import { Log } from "./page_log.js";

const ALL = "";
const LIMIT = 200;

const COLUMNS = [
  { label: "Topic", kind: "mono clip", hint: (row) => row.topic, value: (row) => row.topic },
  { label: "Namespace", kind: "mono clip soft", hint: (row) => row.namespace ?? "", value: (row) => row.namespace ?? "" },
  { label: "Subscribers", kind: "number", value: (row) => count(row.subscribers) },
  { label: "Published", kind: "number", value: (row) => count(row.publications) },
  { label: "Rate", kind: "number", value: (row) => `${count(row.rate)}/s` },
];

/** The tab; `link` is what it asks and publishes by. */
export class Topics {
  constructor(link) {
    this.link = link;
    this.topic = null;
    this.rows = new Rows(byId("topic-rows"), (row) => `${row.namespace ?? ""}\n${row.topic}`, () => this.build());
    this.log = new Log(byId("tail-log"), { empty: "Publications are listed here as they come." });
    this.log.changed = () => this.count();
    byId("topic-filter").addEventListener("input", () => link.want({ topics: this.wanted() }));
    byId("tail-all").addEventListener("click", () => this.toggle(ALL));
    byId("tail-clear").addEventListener("click", () => this.log.clear());
    byId("tail-pause").addEventListener("click", () => this.pause(!this.log.isPaused));
    byId("publish").addEventListener("submit", (submitted) => {
      submitted.preventDefault();
      this.publish();
    });
    this.follow(null);
  }

  wanted() {
    return { filter: byId("topic-filter").value, limit: LIMIT };
  }

  /** The tail that is asked for while the tab is shown. */
  tail() {
    return this.topic === null ? null : { topic: this.topic === ALL ? null : this.topic };
  }

  toggle(topic) {
    this.follow(this.topic === topic ? null : topic);
  }

  follow(topic) {
    this.topic = topic;
    write(byId("tail-name"), topic === null ? "" : topic === ALL ? "all topics" : topic);
    byId("tail-pause").hidden = topic === null;
    byId("tail-all").setAttribute("aria-pressed", topic === ALL);
    for (const button of byId("topic-rows").querySelectorAll("button")) this.press(button);
    this.pause(false);
    this.link.want({ tail: this.tail() });
  }

  press(button) {
    button.setAttribute("aria-pressed", this.topic !== null && button.dataset.topic === this.topic);
  }

  pause(isPaused) {
    this.log.pause(isPaused);
    write(byId("tail-pause"), isPaused ? "Go on" : "Pause");
  }

  count() {
    const { isPaused, waiting, seen } = this.log;
    write(byId("tail-count"), isPaused ? `paused, ${count(waiting.length)} waiting` : seen ? several(seen, "publication") : "");
  }

  build() {
    const button = make("button", { type: "button", class: "small", text: "Tail", onclick: () => {
      this.toggle(button.dataset.topic);
      byId("publish-topic").value ||= button.dataset.topic;
    } });
    const row = textRow(COLUMNS, make("td", { class: "act" }, button));
    return {
      node: row.node,
      update: (item) => {
        if (button.dataset.topic !== item.topic) {
          button.dataset.topic = item.topic;
          button.setAttribute("aria-label", `Tail ${item.topic}`);
          this.press(button);
        }
        row.update(item);
      },
    };
  }

  show({ topics }) {
    const { total, rows } = topics;
    write(byId("topic-count"), rows.length < LIMIT ? count(rows.length) : `the first ${LIMIT}`);
    this.rows.show(rows);
    byId("topic-empty").hidden = rows.length > 0;
    write(byId("topic-empty"), total ? "None matches the filter." : "Nobody subscribes to a topic.");
  }

  /** A publication that the server tells of. */
  add({ at, topic, namespace, text, base64, size: bytes, subscribers }) {
    this.log.add({
      at,
      tag: topic,
      tone: "in",
      label: [namespace, size(bytes), subscribers === undefined ? "" : `to ${count(subscribers)}`].filter(Boolean).join(" · "),
      data: text ?? fromBase64(base64),
      total: bytes,
    });
  }

  async publish() {
    const status = byId("publish-status");
    const say = (text, tone) => {
      write(status, text);
      status.className = `status ${tone}`;
    };
    const topic = byId("publish-topic").value;
    const text = byId("publish-data").value;
    let data = text;
    if (byId("publish-json").checked) {
      try {
        data = JSON.parse(text);
      } catch (error) {
        say(`Not JSON: ${error.message}`, "bad");
        return;
      }
    }
    const namespace = byId("publish-namespace").value || null;
    const answer = await this.link.ask({ do: "publish", topic, namespace, data });
    say(answer.ok ? `Published to ${topic}` : answer.error, answer.ok ? "good" : "bad");
  }
}
