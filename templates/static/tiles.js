// Label images by click or key, one or all that are selected, and look closer. sending.js takes the verdicts from here.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const MARKS = { good: "✓", bad: "✕", unsure: "?" };
  const DEFECTS = ["debris", "fibre", "dried", "bubble", "blur", "saturated", "empty", "uneven light", "other"];
  // What a tile keeps when it is swapped: its picture does not flicker, and its next verdict goes where the page says.
  const OF_THE_PAGE = [".tile-picture", ".tile-score", ".verdicts"];
  const drawer = document.getElementById("drawer");
  const bar = document.getElementById("many");
  const done = [];  // labels given here, the last one last, for undo: key, address, images, title

  const tilesOf = (image) => document.querySelectorAll(`.tile[data-image="${image}"]`);
  const currentView = () => document.querySelector(".tools .segmented a[href*='view='][aria-current]")
    ?.href.match(/view=(\w+)/)?.[1] ?? "composite";
  // What is said of a drawn sample is no label: it is shown on its own page only.
  const isOfThisPage = ({ address }) => address.includes("/verdicts/") === Boolean(labelAddress()?.includes("/verdicts/"));

  // --- labels ---------------------------------------------------------------------------------

  function show(tile, verdict, defects) {
    tile.classList.remove("is-good", "is-bad", "is-unsure");
    if (verdict) tile.classList.add(`is-${verdict}`);
    tile.dataset.verdict = verdict;
    tile.dataset.defects = defects.join(",");
    tile.querySelector(".tile-mark").textContent = MARKS[verdict] ?? "";
    tile.querySelector(".tile-defects").textContent = defects.join(", ");
  }

  // As it will be once it is saved; what the server last said is kept for a refusal.
  function showWaiting({ images, verdict, defects }) {
    for (const image of Object.keys(images)) {
      for (const tile of tilesOf(image)) {
        tile.dataset.saved ??= JSON.stringify([tile.dataset.verdict, listed(tile.dataset.defects)]);
        if (verdict) show(tile, verdict, defects);
        tile.classList.add("is-saving");
      }
    }
    document.dispatchEvent(new CustomEvent("cellqc:shown"));
  }

  const listed = (text) => (text ?? "").split(",").filter(Boolean);

  // Give one verdict to images ({id: name}); several go together, are undone together, and are asked about before.
  function label(images, verdict, defects = [], note = "") {
    const ids = Object.keys(images), many = ids.length > 1;
    const seen = ids.map((id) => tilesOf(id)[0]?.dataset.label ?? "").join(",");
    const which = many ? { images: ids.join(","), confirmed: ids.length } : { image: ids[0] };
    const entry = {
      key: cellqc.uuid(),
      address: many ? bar.action : labelAddress(),
      fields: { ...which, verdict, defects, note, seen, view: currentView() },
      images, verdict, defects,
      title: `${many ? `${ids.length} images` : images[ids[0]]} ${verdict}`,
    };
    done.push(entry);  // at once: it may be undone before the server has answered, they are sent in this order
    showWaiting(entry);
    cellqc.pace?.count(ids.length);
    cellqc.sending.add(entry);
  }

  function labelAddress() {
    return document.querySelector(".verdicts, .verdict-form")?.action;
  }

  // The labels with that key, or those given last; many in one step.
  function undo(key) {
    const place = key ? done.findIndex((one) => one.key === key) : done.length - 1;
    const [last] = place < 0 ? [] : done.splice(place, 1);
    hideToast();
    if (!last) { cellqc.tell("There is no label of yours to undo on this page."); return; }
    const [image, ...more] = Object.keys(last.images);
    const which = more.length ? { batch: last.key } : { image };
    const entry = {
      key: cellqc.uuid(),
      address: `${last.address}undo/`,
      fields: { ...which, view: currentView() },
      images: last.images, verdict: "", defects: [], isUndo: true,
      title: `Undo of ${last.title}`,
    };
    showWaiting(entry);
    cellqc.sending.add(entry);
  }

  document.addEventListener("cellqc:saved", ({ detail: { entry, html } }) => {
    if (!isOfThisPage(entry)) return;
    const answer = fragmentOf(html);
    answer.querySelectorAll(".tile").forEach(replace);
    const told = answer.querySelector(".told")?.textContent;
    const undoable = done.some(({ key }) => key === entry.key);
    if (told) cellqc.tell(told, undoable ? { title: "Undo", key: "z", act: () => undo(entry.key) } : { title: "OK", act: hideToast });
    const opened = drawer && !drawer.hidden && drawer.querySelector(".image")?.dataset.image;
    if (opened in entry.images) open(tilesOf(opened)[0]?.querySelector(".tile-picture").href ?? `/images/${opened}/`);
  });

  function hideToast() { document.getElementById("toast").hidden = true; }

  document.addEventListener("cellqc:refused", ({ detail: { entry } }) => {
    const given = done.findIndex(({ key }) => key === entry.key);
    if (given >= 0) done.splice(given, 1);
    const images = Object.keys(entry.images).filter((image) => !cellqc.sending.waitsFor(image));
    for (const image of images) tilesOf(image).forEach(showSaved);
    if (!entry.address.includes("/verdicts/")) refresh(images);  // perhaps somebody else spoke meanwhile
  });

  // Brings tiles as they are now.
  async function refresh(images) {
    const address = labelAddress()?.replace(/(queue\/)?labels\/$/, "tiles/");
    if (!address || !images.length) return;
    try {
      const answer = await fetch(`${address}?images=${images.join(",")}`, { headers: { "X-Requested-With": "fetch" } });
      if (answer.ok) fragmentOf(await answer.text()).querySelectorAll(".tile").forEach(replace);
    } catch { /* the next page shows them */ }
  }

  function fragmentOf(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  function showSaved(tile) {
    tile.classList.remove("is-saving");
    if (tile.dataset.saved) show(tile, ...JSON.parse(tile.dataset.saved));
    delete tile.dataset.saved;
  }

  const sizeOf = (tile) => [...tile.classList].find((name) => name.startsWith("size-"));

  // A later word on this image may be waiting; what is shown is the last one.
  function replace(fresh) {
    const image = fresh.dataset.image;
    const waits = cellqc.sending.waitsFor(image);
    for (const tile of tilesOf(image)) {
      if (waits) {
        tile.dataset.saved = JSON.stringify([fresh.dataset.verdict, listed(fresh.dataset.defects)]);
        tile.dataset.label = fresh.dataset.label;
        continue;
      }
      const hadFocus = tile === document.activeElement;
      const copy = document.importNode(fresh, true);
      for (const part of OF_THE_PAGE) copy.querySelector(part)?.replaceWith(tile.querySelector(part));
      copy.classList.replace(sizeOf(copy), sizeOf(tile));
      tile.replaceWith(copy);
      if (hadFocus) copy.focus({ preventScroll: true });
    }
    cellqc.selection?.show();
    document.dispatchEvent(new CustomEvent("cellqc:shown"));
  }

  // What waits is shown on whatever tiles there are: after a reload, and when htmx brings others.
  function showAllWaiting() { cellqc.sending.waiting().filter(isOfThisPage).forEach(showWaiting); }
  document.addEventListener("htmx:afterSettle", showAllWaiting);
  // New bands bring the same tiles anew: who was on one stays on it.
  let wasOn;
  document.addEventListener("htmx:beforeSwap", () => { wasOn = focused()?.dataset.image; });
  document.addEventListener("htmx:afterSettle", () => {
    if (wasOn && document.activeElement === document.body) tilesOf(wasOn)[0]?.focus({ preventScroll: true });
    wasOn = undefined;
  });
  document.addEventListener("cellqc:sent-elsewhere", () => {
    const images = [...document.querySelectorAll(".is-saving")].map((tile) => tile.dataset.image);
    refresh(images.filter((image) => !cellqc.sending.waitsFor(image)));
  });
  showAllWaiting();

  // --- what is selected -------------------------------------------------------------------------

  // More than one is asked about once, with the number; then they are labelled together.
  async function labelSelected(verdict, defects = []) {
    const images = cellqc.selection.images(), n = Object.keys(images).length;
    if (n > Number(bar.dataset.most)) {
      cellqc.tell(`${cellqc.counted(n)} images are selected; label at most ${cellqc.counted(bar.dataset.most)} at once.`);
      return;
    }
    if (n > 1) {
      const said = await ask(images, verdict, defects);
      if (!said) return;
      defects = said.defects;
    }
    cellqc.selection.clear();
    label(images, verdict, defects);
  }

  // Resolves to {defects}, or to null when the person thinks better of it. A dialog of its own each time: one that is
  // opened again at once would still be told that it was closed before.
  function ask(images, verdict, defects) {
    const dialog = document.getElementById("confirm").content.firstElementChild.cloneNode(true);
    const ids = Object.keys(images), n = cellqc.counted(ids.length), here = focused()?.dataset.image;
    const otherwise = {};
    for (const id of ids) {
      const now = tilesOf(id)[0]?.dataset.verdict;
      if (now && now !== verdict) otherwise[now] = (otherwise[now] ?? 0) + 1;
    }
    const before = Object.entries(otherwise).map(([now, count]) => `${cellqc.counted(count)} labelled ${now}`);
    dialog.querySelector("h2").textContent = `Label ${n} images ${verdict}?`;
    dialog.querySelector(".confirm-before").textContent = before.length ? `Until now: ${before.join(", ")}. The history keeps it.` : "";
    dialog.querySelector(".defects").hidden = verdict !== "bad";
    const boxes = verdict === "bad" ? [...dialog.querySelectorAll("[name=defects]")] : [];
    for (const box of boxes) box.checked = defects.includes(box.value);
    dialog.addEventListener("keydown", (event) => {
      const box = /^[1-9]$/.test(event.key) && boxes[event.key - 1];
      if (box) box.checked = !box.checked;
    });
    const yes = dialog.querySelector("button.main");
    yes.textContent = `Label ${n} images ${verdict}`;
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
        // The tile may have been swapped meanwhile, and the focus lost with it.
        if (document.activeElement === document.body) tilesOf(here)[0]?.focus({ preventScroll: true });
        const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
        resolve(dialog.returnValue === "yes" ? { defects: chosen } : null);
      });
    });
  }

  bar?.addEventListener("submit", (event) => {
    event.preventDefault();
    labelSelected(event.submitter.value);
  });

  // --- a closer look --------------------------------------------------------------------------

  function open(address) {
    if (!drawer) { location.href = address; return; }
    drawer.hidden = false;
    document.body.classList.add("drawer-open");
    htmx.ajax("GET", address, { source: drawer, target: drawer, swap: "innerHTML" });
    focused()?.scrollIntoView({ block: "nearest" });  // the page got narrower, the tile moved
  }

  // Whether there was something to close.
  function close() {
    if (!drawer || drawer.hidden) return false;
    const image = drawer.querySelector(".image")?.dataset.image;
    drawer.hidden = true;
    document.body.classList.remove("drawer-open");
    tilesOf(image)[0]?.focus({ preventScroll: true });
    return true;
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
      label(named(button.form.elements.image.value), button.value);
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
    label(named(form.elements.image.value), verdict, verdict === "bad" ? defects : [], form.elements.note.value);
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
    const had = listed(tilesOf(image)[0]?.dataset.defects);
    label(named(image), "bad", had.includes(defect) ? had.filter((one) => one !== defect) : [...had, defect]);
  }

  // One image as label takes it: {id: its name for people}.
  function named(image) {
    const name = tilesOf(image)[0]?.querySelector(".tile-place").textContent;
    return { [image]: name ?? document.querySelector(`.image[data-image="${image}"]`)?.dataset.place ?? "image" };
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
    if (event.target.matches("input:not(.tile-select input), select, textarea") || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;  // it has keys of its own
    const { key } = event, { selection } = cellqc;
    if (event.ctrlKey || event.metaKey) {
      if (key.toLowerCase() !== "a" || event.shiftKey || !selection) return;
      selection.all();
      event.preventDefault();
      return;
    }
    const image = focused()?.dataset.image ?? document.querySelector(".image")?.dataset.image;
    const mayLabel = labelAddress() !== undefined && (image !== undefined || selection?.size > 0);
    const verdict = { g: "good", b: "bad", u: "unsure" }[key];
    if (key.startsWith("Arrow")) {
      if (event.shiftKey && selection && focused()) selection.extend(focused());
      move(key);
      if (event.shiftKey && selection && focused()) selection.extend(focused());
    } else if (verdict && mayLabel) {
      if (selection?.size) labelSelected(verdict); else label(named(image), verdict);
    } else if (/^[1-9]$/.test(key) && mayLabel) {
      if (selection?.size) labelSelected("bad", [DEFECTS[key - 1]]); else toggleDefect(image, DEFECTS[key - 1]);
    } else if (key === "x" && selection) selection.toggle(focused());
    else if (key === "w" && selection) selection.well(focused());
    else if (key === "z") undo();
    else if (key === "Enter" || key === " ") {
      // Buttons and links keep their own meaning.
      if (!focused() || event.target.matches("a, button, summary, input")) return;
      open(focused().querySelector(".tile-picture").href);
    } else if (key === "Escape") { if (!close()) selection?.clear(); }
    else if (key === "c") nextChannel();
    else if (key === "?") showKeys();
    else return;
    event.preventDefault();
  });
});
