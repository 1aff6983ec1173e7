// Move the cutoff or the limits of a metric: counts change with every frame, bands when the hand rests.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const PAUSE_MS = 150;
  const SCORE_WAYS = ["value", "percent", "automatic", "unused"];
  const explorer = document.getElementById("explorer");
  if (!explorer) return;
  const byId = (id) => document.getElementById(id);
  const facts = JSON.parse(explorer.dataset.rule);
  const { rule, axis } = facts;
  const counter = new cellqc.Counter(facts), scale = new cellqc.Scale(facts.scale);
  const histogram = byId("histogram"), saveForm = byId("save-form");
  const plates = [...document.querySelectorAll(".plate-share")];
  // The lines on the axis: the cutoff of the score, or the two limits of a metric.
  const lines = axis ? ["low", "high"] : ["cutoff"];
  let pausing, frame, held;

  counter.load().then(() => { explorer.dataset.ready = ""; }, () => cellqc.tell("The numbers could not be fetched; the bands follow all the same."));

  // --- the rule ----------------------------------------------------------------------------------

  const isOnAxis = (one) => axis && one.column === axis.column && one.unit === axis.unit;
  const onAxis = () => rule.conditions.find(isOnAxis);
  // A limit that was never set waits at its end of the axis.
  const valueOf = (name) => axis ? onAxis()?.[name] ?? scale[name] : rule.value;

  function setLine(name, value) {
    if (!axis) { Object.assign(rule, { value, how: "by hand", percent: null }); moved(); return; }
    const now = onAxis() ?? { ...axis, low: null, high: null };
    // At the end of the axis nothing is flagged on that side: there is no limit.
    now[name] = value === null || (name === "low" ? value <= scale.low : value >= scale.high) ? null : value;
    if (now.low !== null && now.high !== null && now.low > now.high) now[name === "low" ? "high" : "low"] = now[name];
    now.words = words(now);
    rule.conditions = rule.conditions.filter((one) => !isOnAxis(one));
    if (now.low !== null || now.high !== null) rule.conditions.push(now);
    moved();
  }

  function words(condition) {
    const { title, unit, channel } = facts.axisWords;
    const limits = [["<", condition.low], [">", condition.high]].filter(([, limit]) => limit !== null)
      .map(([sign, limit]) => `${sign} ${short(limit)}${unit}`);
    return `${title} ${limits.join(" or ")} in ${channel}`;
  }

  const short = (value) => String(Number(value.toPrecision(4)));
  const textOf = ({ unit, low, high, column }) => `${unit},${low ?? ""},${high ?? ""},${column}`;

  function moved() {
    frame ??= requestAnimationFrame(draw);
    remember();
    clearTimeout(pausing);
    pausing = setTimeout(showBands, PAUSE_MS);
  }

  // --- what is drawn -------------------------------------------------------------------------------

  function draw() {
    frame = undefined;
    for (const name of lines) drawLine(name, scale.at(valueOf(name)));
    drawChips();
    if (!counter.isReady) return;
    const { total, byPlate, out, back } = counter.count(rule, plates.length);
    byId("n-flagged").textContent = cellqc.counted(total);
    byId("share").textContent = `${(100 * total / counter.scores.length).toFixed(1)} %`;
    tellChange("changes-out", out);
    tellChange("changes-back", back);
    plates.forEach((plate, i) => {
      plate.querySelector("b").textContent = cellqc.counted(byPlate[i]);
      plate.querySelector(".plate-percent").textContent = `${(100 * byPlate[i] / plate.dataset.total).toFixed(1)} %`;
    });
  }

  function drawLine(name, x) {
    const line = byId(`line-${name}`), side = byId(`side-${name}`), number = byId(`number-${name}`);
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    if (name === "high") side.setAttribute("x", x);
    side.setAttribute("width", name === "high" ? 1000 - x : x);
    byId(`slider-${name}`).value = x;
    if (document.activeElement === number) return;
    const limit = axis ? onAxis()?.[name] ?? null : rule.value;
    number.value = limit === null || rule.how === "unused" && !axis ? "" : axis ? short(limit) : limit.toFixed(4);
  }

  function tellChange(id, n) {
    const place = byId(id);
    if (!place) return;
    place.hidden = !n;
    place.querySelector("b").textContent = cellqc.counted(n);
  }

  function drawChips() {
    const kind = saveForm?.elements.score.value ?? "score";
    const parts = rule.how === "unused" ? [] : [["score", `${kind} score < ${cellqc.score(rule.value, 4)}`]];
    for (const one of rule.conditions) parts.push([cellqc.Counter.key(one), one.words]);
    const place = byId("rule");
    place.replaceChildren(word("Flags"), ...parts.flatMap(([part, text], n) => {
      const chip = document.createElement("span");
      chip.className = "chip";
      chip.dataset.part = part;
      chip.append(text);
      if (parts.length > 1 || part !== "score") chip.append(cross(text));
      return n ? [word("or"), chip] : [chip];
    }));
    if (!parts.length) place.append(word("nothing: drag from either end of the histogram"));
  }

  function word(text) {
    const span = document.createElement("span");
    span.className = "quiet";
    span.textContent = text;
    return span;
  }

  function cross(text) {
    const link = document.createElement("a");
    link.href = "#";
    link.className = "chip-x";
    link.textContent = "✕";
    link.title = "Without this";
    link.setAttribute("aria-label", `Without ${text}`);
    return link;
  }

  // --- the address, the bands, what is saved ---------------------------------------------------------

  function scorePart() {
    if (rule.how === "automatic") return { automatic: 1 };
    if (rule.how === "unused") return { unused: 1 };
    return rule.how === "percent" ? { percent: rule.percent } : { value: rule.value };
  }

  // The form that saves says exactly how the cutoff was chosen, and every condition.
  function remember() {
    if (!saveForm) return;
    const part = scorePart();
    for (const name of SCORE_WAYS) saveForm.elements[name].value = part[name] ?? "";
    byId("save-also").replaceChildren(...rule.conditions.map((one) => {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "also", value: textOf(one) });
      return field;
    }));
  }

  function withRule(href) {
    const address = new URL(href, location.href), query = address.searchParams;
    for (const name of [...SCORE_WAYS, "also", "low", "high", "reason", "name", "band", "after"]) query.delete(name);
    for (const [name, value] of Object.entries(scorePart())) query.set(name, value);
    // Even none is said: an address without any means the saved rule.
    query.append("also", "");
    rule.conditions.forEach((one) => query.append("also", textOf(one)));
    return address;
  }

  function showBands() {
    clearTimeout(pausing);
    pausing = undefined;
    const address = withRule(location.href);
    history.replaceState(history.state, "", address);
    // The source carries hx-sync, so that an answer to an earlier cutoff never replaces a later one.
    // One that a later one cuts off rejects without a reason; what goes wrong htmx tells by its events.
    htmx.ajax("GET", address.pathname + address.search, { source: "#explorer", target: "#bands", swap: "outerHTML" })
      .catch((reason) => { if (reason !== undefined) throw reason; });
  }

  // --- the hand --------------------------------------------------------------------------------------

  const placeAt = (event) => {
    const box = histogram.getBoundingClientRect();
    return 1000 * (event.clientX - box.left) / box.width;
  };
  const nearest = (place) => lines.reduce((a, b) =>
    Math.abs(scale.at(valueOf(b)) - place) < Math.abs(scale.at(valueOf(a)) - place) ? b : a);
  histogram.addEventListener("pointerdown", (event) => {
    histogram.setPointerCapture(event.pointerId);
    held = nearest(placeAt(event));
    setLine(held, scale.value(placeAt(event)));
  });
  histogram.addEventListener("pointermove", (event) => {
    if (histogram.hasPointerCapture(event.pointerId)) setLine(held, scale.value(placeAt(event)));
  });
  // A hand that lets go rests: no pause to wait for.
  histogram.addEventListener("pointerup", () => { if (pausing !== undefined) showBands(); });
  for (const name of lines) {
    const slider = byId(`slider-${name}`), number = byId(`number-${name}`);
    slider.addEventListener("input", () => setLine(name, scale.value(Number(slider.value))));
    slider.addEventListener("pointerup", () => { if (pausing !== undefined) showBands(); });
    number.addEventListener("input", () => {
      if (number.validity.valid && (number.value !== "" || axis)) setLine(name, number.value === "" ? null : Number(number.value));
    });
  }
  byId("cutoff-form").addEventListener("submit", (event) => { event.preventDefault(); moved(); });
  byId("automatic-form").addEventListener("submit", (event) => {
    event.preventDefault();
    Object.assign(rule, { value: facts.automatic, how: "automatic", percent: null });
    moved();
  });
  byId("percent-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const percent = Number(byId("percent").value), { scores } = counter;
    if (!scores.length || !(percent >= 0 && percent <= 100)) return;
    const n = Math.min(Math.round(scores.length * percent / 100), scores.length - 1);
    Object.assign(rule, { value: scores[n], how: "percent", percent });
    byId("meaning").textContent = `You chose the share: ${percent} % is an input, not a finding. It moves the line; the scores stay as they are.`;
    moved();
  });
  byId("rule").addEventListener("click", (event) => {
    const part = event.target.closest(".chip-x")?.parentElement.dataset.part;
    if (!part) return;
    event.preventDefault();
    if (part === "score") rule.how = "unused";
    else rule.conditions = rule.conditions.filter((one) => cellqc.Counter.key(one) !== part);
    moved();
  });
  // Another axis, unit, channel or size takes the rule of this moment along.
  byId("axis").addEventListener("change", (event) => {
    const address = withRule(location.href);
    address.searchParams.set("axis", event.target.value);
    location.href = address;
  });
  explorer.addEventListener("click", (event) => {
    const link = event.target.closest(".segmented a");
    if (link) link.href = withRule(link.href);
  });

  // One image more or less: the line goes just past the next value.
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input:not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!counter.isReady || !"[]".includes(event.key)) return;
    const name = axis && onAxis()?.high != null ? "high" : lines[0];
    const next = pastOneImage(counter.ascending(axis), valueOf(name), event.key === "]", name === "high");
    if (next !== undefined) setLine(name, next);
    else if (event.key === "]" && !axis) setLine(name, scale.high + 1e-6);
  });

  // Flagged is what lies beyond the line: below the cutoff or the low limit, above the high one.
  function pastOneImage(values, value, isUp, isHigh) {
    if (isUp) return values.find((one) => one > (isHigh ? value : values.find((at) => at >= value) ?? value));
    return values.findLast((one) => one < (isHigh ? values.findLast((at) => at <= value) ?? value : value));
  }

  if (saveForm) {
    byId("open-save").addEventListener("click", () => {
      saveForm.classList.toggle("open");
      if (saveForm.classList.contains("open")) saveForm.elements.reason.focus();
    });
  }
});
