// Verdicts on their way to the server. They are kept in this browser until it has answered: through a lost connection,
// a reload, a crash and a log-out, and are sent in the order they were given, each stored once.
"use strict";

{
  const FIRST_WAIT_MS = 1000, LONGEST_WAIT_MS = 30000, ANSWER_MS = 60000;
  const MOST_KEPT_ALIVE = 60000;  // characters: browsers refuse more
  const MOST_FAILURES = 5;  // of the server on one label, before it lets the next ones pass
  const HERE = `cellqc:${encodeURIComponent(cellqc.person)}:`;
  const WAITING = `${HERE}waiting:`, REFUSED = `${HERE}refused:`;

  // One item an entry, so that two tabs never write over each other. Where the browser keeps nothing, this page does.
  class Kept {
    memory = new Map();

    constructor(prefix) { this.prefix = prefix; }

    add(entry) {
      this.count = (this.count ?? 0) + 1;
      const id = [Date.now().toString().padStart(15, "0"), String(this.count).padStart(6, "0"), entry.key].join("-");
      try { localStorage.setItem(this.prefix + id, JSON.stringify(entry)); } catch { this.memory.set(id, entry); }
    }

    // [id, entry] of each, the oldest first.
    all() {
      const found = [...this.memory];
      try {
        for (const name of Object.keys(localStorage)) {
          if (name.startsWith(this.prefix)) found.push([name.slice(this.prefix.length), JSON.parse(localStorage.getItem(name))]);
        }
      } catch { /* storage is switched off: there is only this page's memory */ }
      return found.filter(([, entry]) => entry).sort(([a], [b]) => (a < b ? -1 : 1));
    }

    remove(id) {
      this.memory.delete(id);
      try { localStorage.removeItem(this.prefix + id); } catch { /* as above */ }
    }
  }

  const waiting = new Kept(WAITING), refused = new Kept(REFUSED);
  let sending = false, pause = FIRST_WAIT_MS, timer, failures = 0, state = "";
  const entries = () => waiting.all().map(([, entry]) => entry);

  // An entry: key, address, fields of the form, images ({id: name}), title in words; verdict and defects of a label.
  cellqc.sending = {
    add(entry) {
      waiting.add({ ...entry, person: cellqc.person });
      send();
    },
    waiting: entries,
    waitsFor: (image) => entries().some((entry) => image in entry.images),
  };

  const announce = (name, detail) => document.dispatchEvent(new CustomEvent(`cellqc:${name}`, { detail }));

  // One at a time and in order, so that the last word on an image is the last one stored; one tab at a time, too.
  async function send() {
    if (sending) return;
    sending = true;
    clearTimeout(timer);
    const turn = navigator.locks ? (work) => navigator.locks.request(`${HERE}sending`, work) : (work) => work();
    try {
      state = await turn(sendAll);
    } finally {
      sending = false;
    }
    if (state === "retrying") {
      timer = setTimeout(send, pause);
      pause = Math.min(2 * pause, LONGEST_WAIT_MS);
    }
    tell();
    if (!state && waiting.all().length) send();
  }

  // Returns "" when all is saved, else what it waits for.
  async function sendAll() {
    for (let first; (first = waiting.all()[0]);) {
      const [id, entry] = first;
      const outcome = await post(entry);
      if (outcome.waitFor) return outcome.waitFor;
      waiting.remove(id);
      pause = FIRST_WAIT_MS;
      failures = 0;
      if (outcome.refusal) {
        refused.add({ ...entry, sentence: outcome.refusal });
        announce("refused", { entry });
        tellRefused();
      } else {
        announce("saved", { entry, html: outcome.html });
      }
      tell();
    }
    return "";
  }

  // What became of one: {html} when it is saved, {refusal} in a sentence, or {waitFor} to try again.
  async function post(entry) {
    const body = formOf(entry);
    let answer, text;
    try {
      answer = await fetch(entry.address, {
        method: "POST",
        body,
        headers: { "X-CSRFToken": cellqc.csrfToken(), "X-Requested-With": "fetch" },
        redirect: "manual",  // to the log-in
        keepalive: String(body).length < MOST_KEPT_ALIVE,  // also while the page goes away
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      text = await answer.text();
    } catch {
      return { waitFor: "retrying" };
    }
    const isSentence = answer.headers.get("Content-Type")?.startsWith("text/plain");
    if (answer.ok) return { html: text };
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403 && !isSentence) return { waitFor: "log-in" };
    if (answer.status >= 500 || answer.status === 429) {
      failures += answer.status === 500 ? 1 : 0;
      if (failures < MOST_FAILURES) return { waitFor: "retrying" };
      return { refusal: "The server could not store it. Try again later, or tell your admin." };
    }
    return { refusal: isSentence ? text : `The server does not know this image any more (${answer.status}).` };
  }

  function formOf(entry) {
    const form = new URLSearchParams({ request_key: entry.key, person: entry.person });
    for (const [name, value] of Object.entries(entry.fields)) {
      for (const one of [value].flat()) form.append(name, one);
    }
    return form;
  }

  // --- what is told ---------------------------------------------------------------------------------

  const labels = (n) => `${cellqc.counted(n)} label${n === 1 ? "" : "s"}`;
  const count = (kept) => kept.reduce((sum, entry) => sum + Object.keys(entry.images).length, 0);

  function tell() {
    const place = document.getElementById("unsaved"), n = count(entries());
    place.hidden = !(n && state);
    place.textContent = `${labels(n)} not saved yet, ${state === "log-in" ? "kept in this browser: " : "retrying"}`;
    if (state === "log-in") {
      const link = document.createElement("a");
      link.href = `/login/?next=${encodeURIComponent(location.pathname + location.search)}`;
      link.textContent = `log in again as ${cellqc.person}`;
      place.append(link);
    }
  }

  function tellRefused() {
    const place = document.getElementById("refused"), all = refused.all();
    const list = document.createElement("ul"), title = document.createElement("b");
    const n = count(all.map(([, entry]) => entry));
    title.textContent = `${labels(n)} ${n === 1 ? "was" : "were"} refused`;
    for (const [id, entry] of all) {
      const item = document.createElement("li"), buttons = document.createElement("span");
      const again = () => { refused.remove(id); tellRefused(); cellqc.sending.add(entry); };
      buttons.append(cellqc.button("Try again", again), cellqc.button("Dismiss", () => { refused.remove(id); tellRefused(); }));
      item.append(`${entry.title}: ${entry.sentence} `, buttons);
      list.append(item);
    }
    place.replaceChildren(title, list);
    place.hidden = !all.length;
  }

  document.addEventListener("DOMContentLoaded", () => {
    tellRefused();
    if (!entries().length) return;
    state = "retrying";  // from before a reload or a crash: shown until they are saved
    tell();
    send();
  });
  window.addEventListener("online", () => { pause = FIRST_WAIT_MS; send(); });
  // Another tab saved some, or was refused.
  window.addEventListener("storage", (event) => {
    if (!event.key?.startsWith(HERE)) return;
    tell();
    tellRefused();
    if (event.newValue === null) announce("sent-elsewhere");
  });
  // What this browser keeps is sent by the next page; only what it could not keep would be lost.
  window.addEventListener("beforeunload", (event) => { if (waiting.memory.size) event.preventDefault(); });
}
