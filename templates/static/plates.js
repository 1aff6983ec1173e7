// Plates: say what a well is, move between wells with the arrows, and bring a well's fields without leaving the page.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const words = document.getElementById("well-words");
  if (!words) return;
  const select = document.querySelector("#colour-form select");
  select.addEventListener("change", () => {
    const address = new URL(location.href);
    address.searchParams.set("colour", select.value);
    location.assign(address);
  });

  const wellOf = (event) => event.target.closest?.(".plate-map a[data-well]");
  const say = (well) => { words.textContent = well.getAttribute("aria-label"); };
  document.querySelectorAll(".plate-map").forEach((map) => map.querySelector("a[data-well]")?.setAttribute("tabindex", "0"));
  document.addEventListener("pointerover", (event) => { const well = wellOf(event); if (well) say(well); });
  document.addEventListener("focusin", (event) => { const well = wellOf(event); if (well) say(well); });

  function open(well) {
    document.querySelectorAll(".plate-map .is-open").forEach((other) => other.classList.remove("is-open"));
    well.classList.add("is-open");
    const address = new URL(location.href);
    address.searchParams.set("well", well.dataset.well);
    address.searchParams.delete("field");
    address.searchParams.delete("value");
    history.replaceState(history.state, "", address);
    htmx.ajax("GET", address.pathname + address.search, { target: "#fields", swap: "outerHTML" })
      .then(() => document.getElementById("fields").scrollIntoView({ block: "nearest" }));
  }

  document.addEventListener("click", (event) => {
    const well = wellOf(event);
    if (!well || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(well);
  });

  // One well of a plate can be reached by Tab; the arrows lead on from it, over gaps of partial plates.
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.addEventListener("keydown", (event) => {
    const well = wellOf(event);
    const step = steps[event.key];
    if (!well || !step) return;
    event.preventDefault();
    event.stopPropagation();
    const map = well.ownerSVGElement;
    let row = Number(well.dataset.row);
    let column = Number(well.dataset.column);
    for (let tries = 0; tries < 48; tries++) {
      row += step[0];
      column += step[1];
      const next = map.querySelector(`a[data-row="${row}"][data-column="${column}"]`);
      if (!next) continue;
      well.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
      return;
    }
  }, true);
});
