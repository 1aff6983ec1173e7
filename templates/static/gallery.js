// The gallery: `/` goes to the filter, a choice made with the mouse is applied at once, and focus follows more images.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("filter"), find = document.getElementById("find");
  if (!form) return;

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    find.focus();
    find.select();
  });
  find.addEventListener("keydown", (event) => { if (event.key === "Escape") find.blur(); });

  // Arrow keys walk through the entries of a select: only Apply or Enter means one then.
  let byMouse = false;
  for (const select of [...form.elements].filter((one) => one.matches("select:not(.metric-panel select)"))) {
    select.addEventListener("pointerdown", () => { byMouse = true; });
    select.addEventListener("keydown", (event) => {
      byMouse = false;
      if (event.key === "Enter") { event.preventDefault(); form.requestSubmit(); }
    });
    select.addEventListener("change", () => { if (byMouse) form.requestSubmit(); });
  }

  // The button that brought more images is gone: go on from the first of them.
  let n_before = 0;
  const tiles = () => document.querySelectorAll(".gallery .tile");
  document.addEventListener("htmx:beforeSwap", (event) => { if (event.target.closest(".more")) n_before = tiles().length; });
  document.addEventListener("htmx:afterSettle", () => {
    if (!n_before) return;
    tiles()[n_before]?.focus();
    n_before = 0;
  });
});
