// Select many images: x, Ctrl or Shift with a click, a box dragged on empty ground, all shown, all in a well.
// A page offers it by including labeling/_many.html; what is then done with them is in tiles.js.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const bar = document.getElementById("many");
  if (!bar) return;
  const chosen = new Map();  // image id: its name; also images that the page does not show
  const GROUND = "main, .tiles, .band, .band > h2, #bands, .decision, .similar, .similar-tile, .well-fields";
  const STIRRED_PX = 5;
  let anchor;  // where a range begins

  const tiles = () => [...document.querySelectorAll(".tile")].filter((tile) => tile.querySelector(".tile-select"));
  const idOf = (tile) => tile.dataset.image;
  const nameOf = (tile) => tile.querySelector(".tile-place").textContent;
  const words = (n) => `${cellqc.counted(n)} image${n === 1 ? "" : "s"}`;

  // Marks every tile as it is, and says how many are chosen. Tiles come and go: htmx and saved labels swap them.
  function show() {
    const shown = new Set();
    for (const tile of tiles()) {
      const is = chosen.has(idOf(tile));
      tile.classList.toggle("is-selected", is);
      tile.querySelector(".tile-select input").checked = is;
      shown.add(idOf(tile));
    }
    const hidden = [...chosen.keys()].filter((id) => !shown.has(id)).length;
    document.getElementById("many-count").textContent =
      chosen.size ? `${words(chosen.size)} selected${hidden ? `, ${cellqc.counted(hidden)} of them not shown here` : ""}` : "";
    bar.classList.toggle("is-open", chosen.size > 0);
  }

  function set(some, is = true) {
    for (const tile of some) if (is) chosen.set(idOf(tile), nameOf(tile)); else chosen.delete(idOf(tile));
    show();
  }

  function toggle(tile) {
    if (!tile) return;
    anchor = idOf(tile);
    set([tile], !chosen.has(idOf(tile)));
  }

  // From the tile chosen last to this one, as the page shows them.
  function extend(tile) {
    const all = tiles(), to = all.indexOf(tile);
    const from = all.findIndex((one) => idOf(one) === anchor);
    if (from < 0) { anchor = idOf(tile); set([tile]); return; }
    set(all.slice(Math.min(from, to), Math.max(from, to) + 1));
  }

  // The wells of these tiles, images that are not shown as well.
  function addWells(some) {
    const wells = new Set(some.map((tile) => tile.dataset.well));
    return add([...wells].map((well) => bar.dataset.wells.replace("/0/", `/${well}/`)));
  }

  // The images that the server names at these addresses.
  async function add(addresses) {
    try {
      for (const address of addresses) {
        const answer = await fetch(address, { headers: { "X-Requested-With": "fetch" } });
        if (!answer.ok) { cellqc.tell(await answer.text()); break; }
        const { images } = await answer.json();
        for (const [id, name] of Object.entries(images)) chosen.set(id, name);
      }
    } catch {
      cellqc.tell("These images could not be found. Try again in a moment.");
    }
    show();
  }

  cellqc.selection = {
    get size() { return chosen.size; },
    images: () => Object.fromEntries(chosen),
    toggle,
    extend,
    all: () => set(tiles()),
    clear: () => { chosen.clear(); anchor = undefined; show(); },
    // All in the wells of what is chosen, or of this tile.
    well(tile) {
      const marked = tiles().filter((one) => chosen.has(idOf(one)));
      addWells(marked.length ? marked : [tile].filter(Boolean));
    },
    show,
  };

  // --- the mouse ------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile"), { select: order, address } = event.target.closest("[data-select]")?.dataset ?? {};
    if (order === "matching") add([address]);
    else if (order === "well") cellqc.selection.well();
    else if (order === "all") cellqc.selection.all();
    else if (order === "none") cellqc.selection.clear();
    if (!tile?.querySelector(".tile-select")) return;
    if (event.shiftKey || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      if (event.shiftKey) extend(tile); else toggle(tile);
      tile.focus({ preventScroll: true });
    } else if (event.target.matches(".tile-select input")) {
      toggle(tile);
    }
  });
  // Shift with a click would mark text.
  document.addEventListener("mousedown", (event) => { if (event.shiftKey && event.target.closest(".tile")) event.preventDefault(); });

  let box;  // dragged from here: {x, y} on the page, what was chosen before, and its frame once it is stirred
  document.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch" || !event.target.matches(GROUND)) return;
    const keeps = event.shiftKey || event.ctrlKey || event.metaKey;
    box = { x: event.pageX, y: event.pageY, before: keeps ? new Map(chosen) : new Map(), frame: null };
    event.preventDefault();  // marks no text
  });
  document.addEventListener("pointermove", (event) => {
    if (!box) return;
    const left = Math.min(box.x, event.pageX), top = Math.min(box.y, event.pageY);
    const width = Math.abs(event.pageX - box.x), height = Math.abs(event.pageY - box.y);
    if (!box.frame && Math.max(width, height) < STIRRED_PX) return;
    if (!box.frame) {
      box.frame = document.createElement("div");
      box.frame.className = "selection-box";
      document.body.append(box.frame);
    }
    Object.assign(box.frame.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    const frame = box.frame.getBoundingClientRect();
    chosen.clear();
    for (const [id, name] of box.before) chosen.set(id, name);
    set(tiles().filter((tile) => overlap(tile.getBoundingClientRect(), frame)));
  });
  for (const name of ["pointerup", "pointercancel"]) {
    document.addEventListener(name, () => { box?.frame?.remove(); box = undefined; });
  }
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

  document.addEventListener("htmx:afterSettle", show);
  show();  // a browser that goes back ticks boxes again by itself
});
