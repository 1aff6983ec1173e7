// In the queue a verdict goes on to the next image, and the page says how many are left.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const progress = document.getElementById("queue-progress");
  const tiles = () => [...document.querySelectorAll(".queue .tile")];
  tiles()[0]?.focus({ preventScroll: true });

  // tiles.js has stored the verdict already: it listens first.
  document.addEventListener("keydown", (event) => {
    if (!/^[gbu]$/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
    const tile = document.activeElement?.closest?.(".queue .tile");
    tile?.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  });
  document.addEventListener("cellqc:shown", tell);

  function tell() {
    const left = tiles().filter((tile) => !tile.dataset.verdict).length;
    if (progress) progress.textContent = left ? `${left} of ${tiles().length} left` : "All of these are labelled. Label the next ones when you like.";
  }
});
