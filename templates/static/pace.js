// How fast one labels, said softly, and only while one does.
"use strict";

{
  const WINDOW_MS = 120_000, IDLE_MS = 30_000, SHORTEST_MS = 20_000, FEWEST = 3;
  const NAME = "cellqc:pace";  // of this tab: the viewer is a new page for every image
  const kept = () => { try { return JSON.parse(sessionStorage.getItem(NAME)) ?? []; } catch { return []; } };
  let hiding;

  cellqc.pace = {
    // So many images were labelled just now.
    count(n) {
      const now = Date.now();
      const times = [...kept().filter(([at]) => now - at < WINDOW_MS), [now, n]];
      try { sessionStorage.setItem(NAME, JSON.stringify(times)); } catch { return; }
      show(times, now);
    },
  };

  function show(times, now) {
    const place = document.getElementById("pace");
    const n = times.reduce((sum, [, images]) => sum + images, 0);
    const minutes = Math.max(now - times[0][0], SHORTEST_MS) / 60_000;
    place.textContent = `${Math.round(n / minutes)} images/min`;
    place.hidden = n < FEWEST;
    clearTimeout(hiding);
    hiding = setTimeout(() => { place.hidden = true; }, IDLE_MS);
  }
}
