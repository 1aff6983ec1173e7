// Move the cutoff: counts change with every frame, bands when the hand rests.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const explorer = document.getElementById("explorer");
  const low = Number(explorer.dataset.low);
  const high = Number(explorer.dataset.high);
  const saved = explorer.dataset.saved === "" ? null : Number(explorer.dataset.saved);
  const byId = (id) => document.getElementById(id);
  const [histogram, line, flaggedSide, slider, number] =
    ["histogram", "cutoff-line", "flagged-side", "slider", "cutoff-value"].map(byId);
  const saveForm = byId("save-form");
  const plates = [...document.querySelectorAll(".plate-share")];
  const PAUSE_MS = 150;
  let scores = new Float32Array(), plateOf = new Uint16Array();
  let cutoff = Number(slider.value);
  let pausing, frame;

  // All scores ascending as float32, then the plate of each as uint16; sent once and kept by the browser.
  fetch(explorer.dataset.vector).then((answer) => answer.arrayBuffer()).then((buffer) => {
    const n = buffer.byteLength / 6;
    scores = new Float32Array(buffer, 0, n);
    plateOf = new Uint16Array(buffer, 4 * n, n);
    explorer.dataset.ready = "";
  });

  // How many scores lie below the value: the images it flags.
  function countBelow(value) {
    let from = 0, to = scores.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (scores[middle] < value) from = middle + 1; else to = middle;
    }
    return from;
  }

  function draw() {
    frame = undefined;
    const x = 1000 * Math.min(Math.max((cutoff - low) / ((high - low) || 1), 0), 1);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    flaggedSide.setAttribute("width", x);
    slider.value = cutoff;
    if (document.activeElement !== number) number.value = cutoff.toFixed(4);
    if (!scores.length) return;
    const flagged = countBelow(cutoff);
    byId("n-flagged").textContent = cellqc.counted(flagged);
    byId("share").textContent = `${(100 * flagged / scores.length).toFixed(1)} %`;
    const counts = new Uint32Array(plates.length);
    for (let i = 0; i < flagged; i++) counts[plateOf[i]]++;
    plates.forEach((plate, i) => {
      plate.querySelector("b").textContent = cellqc.counted(counts[i]);
      plate.querySelector(".plate-percent").textContent = `${(100 * counts[i] / plate.dataset.total).toFixed(1)} %`;
    });
  }

  // The form that saves says exactly how the cutoff was chosen: by hand, by percent or automatically.
  function remember(how) {
    if (!saveForm) return;
    for (const name of ["value", "percent", "automatic"]) saveForm.elements[name].value = how[name] ?? "";
  }

  function moveTo(value, how = { value }) {
    cutoff = value;
    remember(how);
    frame ??= requestAnimationFrame(draw);
    clearTimeout(pausing);
    pausing = setTimeout(() => showBands(how), PAUSE_MS);
  }

  function addressOf(how) {
    const address = new URL(location.href);
    for (const name of ["value", "percent", "automatic", "band", "after"]) address.searchParams.delete(name);
    for (const [name, value] of Object.entries(how)) address.searchParams.set(name, value);
    return address;
  }

  function showBands(how) {
    const address = addressOf(how);
    history.replaceState(history.state, "", address);
    // The source carries hx-sync, so that an answer to an earlier cutoff never replaces a later one.
    htmx.ajax("GET", address.pathname + address.search, { source: "#explorer", target: "#bands", swap: "outerHTML" });
  }

  const valueAt = (event) => {
    const box = histogram.getBoundingClientRect();
    return low + (high - low) * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  histogram.addEventListener("pointerdown", (event) => {
    histogram.setPointerCapture(event.pointerId);
    moveTo(valueAt(event));
  });
  histogram.addEventListener("pointermove", (event) => {
    if (histogram.hasPointerCapture(event.pointerId)) moveTo(valueAt(event));
  });

  slider.addEventListener("input", () => moveTo(Number(slider.value)));
  number.addEventListener("input", () => { if (number.value !== "" && number.validity.valid) moveTo(Number(number.value)); });
  number.form.addEventListener("submit", (event) => {
    event.preventDefault();
    moveTo(Number(number.value));
  });
  byId("automatic-form").addEventListener("submit", (event) => {
    event.preventDefault();
    moveTo(Number(explorer.dataset.automatic), { automatic: 1 });
  });
  byId("percent-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const percent = Number(byId("percent").value);
    if (!scores.length || !(percent >= 0 && percent <= 100)) return;
    const n = Math.min(Math.round(scores.length * percent / 100), scores.length - 1);
    moveTo(scores[n], { percent });
    byId("meaning").textContent = `You chose the share: ${percent} % is an input, not a finding.`;
  });

  // One image more or less: the cutoff goes just past the next score.
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") && event.target !== slider) return;
    if (event.ctrlKey || event.metaKey || event.altKey || !scores.length) return;
    const n = countBelow(cutoff);
    if (event.key === "]" && n < scores.length) moveTo(n + 1 < scores.length ? scores[n + 1] : high + 1e-6);
    if (event.key === "[" && n > 0) moveTo(scores[n - 1]);
  });

  if (saveForm) {
    byId("open-save").addEventListener("click", () => {
      saveForm.classList.toggle("open");
      if (saveForm.classList.contains("open")) saveForm.elements.reason.focus();
    });
  }

  // Links for channel and size take the cutoff of this moment along.
  explorer.addEventListener("click", (event) => {
    const link = event.target.closest(".tools .segmented a");
    if (!link) return;
    const address = new URL(link.href);
    const here = new URL(location.href);
    for (const name of ["value", "percent", "automatic"]) {
      address.searchParams.delete(name);
      if (here.searchParams.has(name)) address.searchParams.set(name, here.searchParams.get(name));
    }
    link.href = address;
  });
});
