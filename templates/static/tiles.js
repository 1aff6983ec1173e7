// Label images by click or key, look closer, and lose nothing when the connection drops.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const MARKS = { good: "✓", bad: "✕", unsure: "?" };
  const DEFECTS = ["debris", "fibre", "dried", "bubble", "blur", "saturated", "empty", "uneven light", "other"];
  const RETRY_MS = 2000;
  const drawer = document.getElementById("drawer");
  const unsaved = document.getElementById("unsaved");
  const waiting = [];  // labels the server has not confirmed, oldest first
  const done = [];     // images labelled here, the last one last, for undo
  let sending = false;

  const tilesOf = (image) => document.querySelectorAll(`.tile[data-image="${image}"]`);
  const currentView = () => document.querySelector(".tools .segmented a[href*='view='][aria-current]")
    ?.href.match(/view=(\w+)/)?.[1] ?? "composite";

  // --- labels ---------------------------------------------------------------------------------

  function show(tile, verdict, defects) {
    tile.classList.remove("is-good", "is-bad", "is-unsure");
    if (verdict) tile.classList.add(`is-${verdict}`);
    tile.dataset.verdict = verdict;
    tile.dataset.defects = defects.join(",");
    tile.querySelector(".tile-mark").textContent = MARKS[verdict] ?? "";
    tile.querySelector(".tile-defects").textContent = defects.join(", ");
  }

  function label(image, verdict, defects = [], note = "") {
    const tiles = tilesOf(image);
    tiles.forEach((tile) => { show(tile, verdict, defects); tile.classList.add("is-saving"); });
    const form = new URLSearchParams({ image, verdict, note, view: currentView() });
    for (const defect of defects) form.append("defects", defect);
    done.push(image);  // at once: it may be undone before the server has answered, the queue keeps the order
    enqueue({ image, form, address: labelAddress(), undo: false });
  }

  function labelAddress() {
    return document.querySelector(".verdicts, .verdict-form")?.action;
  }

  function undo() {
    const image = done.pop();
    if (image === undefined) { cellqc.tell("There is no label of yours to undo on this page."); return; }
    enqueue({ image, form: new URLSearchParams({ image, view: currentView() }), address: `${labelAddress()}undo/`, undo: true });
  }

  function enqueue(entry) {
    waiting.push(entry);
    send();
  }

  // One at a time and in order, so that the last word on an image is the last one stored.
  async function send() {
    if (sending || !waiting.length) return;
    sending = true;
    const entry = waiting[0];
    try {
      const answer = await fetch(entry.address, {
        method: "POST",
        body: entry.form,
        headers: { "X-CSRFToken": cellqc.csrfToken(), "X-Requested-With": "fetch" },
        redirect: "error",
      });
      if (answer.status >= 500) throw new Error("try again");
      waiting.shift();
      const text = await answer.text();
      if (answer.ok) confirm(entry, text); else refuse(entry, text);
      sending = false;
      tellUnsaved();
      send();
    } catch {
      sending = false;
      tellUnsaved("retrying");
      setTimeout(send, RETRY_MS);
    }
  }

  function confirm(entry, html) {
    // A later word on this image may be waiting; what is shown is the last one.
    if (!waiting.some((other) => other.image === entry.image)) replace(entry.image, html);
    if (drawer && !drawer.hidden && drawer.querySelector(`.image[data-image="${entry.image}"]`)) open(tilesOf(entry.image)[0]?.querySelector(".tile-picture").href ?? `/images/${entry.image}/`);
  }

  function refuse(entry, sentence) {
    if (!entry.undo) done.splice(done.lastIndexOf(entry.image), 1);
    cellqc.tell(sentence.startsWith("<") ? "This label was not saved. Reload the page and log in again." : sentence);
    tilesOf(entry.image).forEach((tile) => {
      tile.classList.remove("is-saving");
      if (!entry.undo) show(tile, "", []);
    });
  }

  function replace(image, html) {
    tilesOf(image).forEach((tile) => {
      const hadFocus = tile === document.activeElement;
      const template = document.createElement("template");
      template.innerHTML = html.trim();
      const fresh = template.content.firstElementChild;
      tile.replaceWith(fresh);
      if (hadFocus) fresh.focus({ preventScroll: true });
    });
  }

  function tellUnsaved(state) {
    const n = waiting.length;
    unsaved.hidden = !(n && state);
    unsaved.textContent = `${n} label${n === 1 ? "" : "s"} not saved yet, retrying`;
  }
  window.addEventListener("beforeunload", (event) => { if (waiting.length) event.preventDefault(); });

  // --- a closer look --------------------------------------------------------------------------

  function open(address) {
    if (!drawer) { location.href = address; return; }
    drawer.hidden = false;
    document.body.classList.add("drawer-open");
    htmx.ajax("GET", address, { source: drawer, target: drawer, swap: "innerHTML" });
    focused()?.scrollIntoView({ block: "nearest" });  // the page got narrower, the tile moved
  }

  function close() {
    if (!drawer || drawer.hidden) return;
    const image = drawer.querySelector(".image")?.dataset.image;
    drawer.hidden = true;
    document.body.classList.remove("drawer-open");
    tilesOf(image)[0]?.focus({ preventScroll: true });
  }

  function nextChannel() {
    const links = [...document.querySelectorAll(".image .segmented a[data-full]")];
    const now = links.findIndex((link) => link.hasAttribute("aria-current"));
    if (links.length) showChannel(links[(now + 1) % links.length]);
  }

  function showChannel(link) {
    link.closest(".image").querySelector(".image-view img").src = link.dataset.full;
    link.parentElement.querySelectorAll("a").forEach((other) => other.removeAttribute("aria-current"));
    link.setAttribute("aria-current", "true");
  }

  // --- the mouse ------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const within = (selector) => event.target.closest(selector);
    const button = within(".verdicts button");
    const picture = within(".tile-picture"), sibling = within("[data-sibling]"), channel = within("a[data-full]");
    if (button) {
      event.preventDefault();
      label(button.form.elements.image.value, button.value);
    } else if (picture && drawer) {
      event.preventDefault();
      picture.closest(".tile").focus({ preventScroll: true });
      open(picture.href);
    } else if (sibling && drawer) {
      event.preventDefault();
      open(sibling.href);
    } else if (channel) {
      event.preventDefault();
      showChannel(channel);
    } else if (within("[data-close]")) {
      close();
    }
  });

  document.addEventListener("submit", (event) => {
    const form = event.target.closest(".verdict-form");
    if (!form || !drawer) return;
    event.preventDefault();
    const verdict = event.submitter.value;
    const defects = [...form.querySelectorAll("[name=defects]:checked")].map((box) => box.value);
    label(form.elements.image.value, verdict, verdict === "bad" ? defects : [], form.elements.note.value);
  });

  // --- the keyboard ---------------------------------------------------------------------------

  // The page's tiles, or those in the drawer while one of them is chosen: arrows do not wander from one to the other.
  const all = () => [...document.querySelectorAll(".tile")]
    .filter((tile) => Boolean(drawer?.contains(tile)) === Boolean(drawer?.contains(document.activeElement)));
  const focused = () => document.activeElement?.closest?.(".tile");

  function move(key) {
    const tiles = all(), tile = focused();
    if (!tiles.length) return;
    if (!tile) { go(tiles[0]); return; }
    const n = tiles.indexOf(tile);
    if (key === "ArrowRight") go(tiles[n + 1]);
    if (key === "ArrowLeft") go(tiles[n - 1]);
    if (key === "ArrowDown" || key === "ArrowUp") go(nearestRow(tiles, tile, key === "ArrowDown" ? 1 : -1));
  }

  // The tile of the next row that lies nearest below or above.
  function nearestRow(tiles, tile, direction) {
    const here = tile.getBoundingClientRect();
    const beyond = tiles.map((other) => [other, other.getBoundingClientRect()])
      .filter(([, box]) => direction * (box.top - here.top) > here.height / 2);
    const distance = ([, box]) => 10 * Math.abs(box.top - here.top) + Math.abs(box.left - here.left);
    return beyond.sort((a, b) => distance(a) - distance(b))[0]?.[0];
  }

  function go(tile) {
    if (!tile) return;
    tile.focus({ preventScroll: true });
    tile.scrollIntoView({ block: "nearest" });
    if (drawer && !drawer.hidden) open(tile.querySelector(".tile-picture").href);
  }

  function toggleDefect(image, defect) {
    const tile = tilesOf(image)[0];
    const had = (tile?.dataset.defects ?? "").split(",").filter(Boolean);
    label(image, "bad", had.includes(defect) ? had.filter((one) => one !== defect) : [...had, defect]);
  }

  function showKeys() {
    const template = document.getElementById("keys");
    if (!template) { location.href = "/help/"; return; }
    const dialog = document.createElement("dialog");
    dialog.append(template.content.cloneNode(true));
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", () => dialog.close());
    document.body.append(dialog);
    dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;  // it has keys of its own
    const { key } = event;
    const image = focused()?.dataset.image ?? document.querySelector(".image")?.dataset.image;
    const mayLabel = labelAddress() !== undefined && image !== undefined;
    const verdict = { g: "good", b: "bad", u: "unsure" }[key];
    if (key.startsWith("Arrow")) move(key);
    else if (verdict && mayLabel) label(image, verdict);
    else if (/^[1-9]$/.test(key) && mayLabel) toggleDefect(image, DEFECTS[key - 1]);
    else if (key === "z") undo();
    else if (key === "Enter" || key === " ") {
      // Buttons and links keep their own meaning.
      if (!focused() || event.target.matches("a, button, summary")) return;
      open(focused().querySelector(".tile-picture").href);
    } else if (key === "Escape") close();
    else if (key === "c") nextChannel();
    else if (key === "?") showKeys();
    else return;
    event.preventDefault();
  });
});
