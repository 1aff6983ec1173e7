// The viewer draws the camera's own values: every channel with its colour and contrast, added up as the thumbnails are.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const QUICK_PX = 1080;   // what a screen shows at first; the rest of the pixels follow
  const SETTLE_MS = 150;   // a contrast that rests is drawn in full resolution
  const canvas = document.getElementById("stage");
  const channels = JSON.parse(document.getElementById("channels").textContent);
  const underCursor = document.getElementById("under-cursor");
  const zoomText = document.getElementById("zoom");
  if (!channels.length) return;

  const full = { width: channels[0].width, height: channels[0].height };
  const screen = canvas.getContext("2d");
  const view = { scale: 0, x: 0, y: 0 };  // screen pixels per image pixel, and the image's corner on the screen
  let alone = -1;                         // the channel shown alone, by c
  let quick, sharp, frame, settling;

  // --- pixels ---------------------------------------------------------------------------------

  async function load(channel, size) {
    const answer = await fetch(channel.pixels + (size ? `?size=${size}` : ""));
    if (!answer.ok) throw new Error(await answer.text());
    return {
      width: Number(answer.headers.get("X-Width")),
      height: Number(answer.headers.get("X-Height")),
      values: new Uint16Array(await answer.arrayBuffer()),
    };
  }

  function layerOf(planes) {
    const picture = document.createElement("canvas");
    picture.width = planes[0].width;
    picture.height = planes[0].height;
    return { planes, picture, drawn: "" };
  }

  async function open() {
    try {
      const first = channels.map((channel) => load(channel, QUICK_PX));
      // Each channel's other pixels are asked for when its first are here, not when all are drawn.
      const rest = Math.max(full.width, full.height) > QUICK_PX
        ? Promise.all(channels.map((channel, n) => first[n].then(() => load(channel)))) : undefined;
      rest?.catch(() => {});  // told below, once
      quick = layerOf(await Promise.all(first));
      fit();
      canvas.dataset.shown = "quick";
      underCursor.textContent = "Point at a pixel to read its values.";
      sharp = rest ? layerOf(await rest) : quick;
      canvas.dataset.shown = "sharp";
      redraw();
    } catch (problem) {
      underCursor.textContent = problem.message || "The image could not be loaded. Reload the page.";
    }
  }

  // --- drawing --------------------------------------------------------------------------------

  const shown = (n) => (alone >= 0 ? n === alone : channels[n].on);

  // What each value of a channel adds to red, green and blue; additive, as in the thumbnails.
  function tableOf(channel) {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(channel.colour.slice(at, at + 2), 16));
    const grey = channels.length === 1 || alone >= 0;
    const table = new Uint8Array(3 * 65536);
    const span = Math.max(channel.high - channel.low, 1);
    for (let value = 0; value < 65536; value++) {
      const light = Math.min(Math.max((value - channel.low) / span, 0), 1);
      table[3 * value] = light * (grey ? 255 : red);
      table[3 * value + 1] = light * (grey ? 255 : green);
      table[3 * value + 2] = light * (grey ? 255 : blue);
    }
    return table;
  }

  function compose(layer) {
    const wanted = JSON.stringify([alone, channels.map(({ on, colour, low, high }) => [on, colour, low, high])]);
    if (layer.drawn === wanted) return;
    layer.drawn = wanted;
    const { width, height } = layer.picture;
    const context = layer.picture.getContext("2d");
    const image = context.createImageData(width, height);
    const out = image.data;  // clamps sums at 255
    for (let i = 3; i < out.length; i += 4) out[i] = 255;
    layer.planes.forEach(({ values }, n) => {
      if (!shown(n)) return;
      const table = tableOf(channels[n]);
      for (let i = 0, at = 0; i < values.length; i++, at += 4) {
        const light = 3 * values[i];
        out[at] += table[light];
        out[at + 1] += table[light + 1];
        out[at + 2] += table[light + 2];
      }
    });
    context.putImageData(image, 0, 0);
  }

  function draw() {
    frame = undefined;
    if (!quick) return;
    const needsSharp = sharp && view.scale * full.width > quick.picture.width;
    const layer = needsSharp && !settling ? sharp : quick;
    compose(layer);
    screen.setTransform(1, 0, 0, 1, 0, 0);
    screen.fillStyle = "#000";
    screen.fillRect(0, 0, canvas.width, canvas.height);
    screen.imageSmoothingEnabled = view.scale < 2;  // single pixels stay square when one looks at pixels
    screen.drawImage(layer.picture, view.x, view.y, full.width * view.scale, full.height * view.scale);
    zoomText.textContent = `${Math.round(100 * view.scale)} %`;
  }

  function redraw() { frame ??= requestAnimationFrame(draw); }

  function contrastMoved() {
    clearTimeout(settling);
    settling = setTimeout(() => { settling = undefined; redraw(); }, SETTLE_MS);
    redraw();
  }

  function fit() {
    const box = canvas.getBoundingClientRect();
    canvas.width = box.width;
    canvas.height = box.height;
    view.scale = Math.min(canvas.width / full.width, canvas.height / full.height);
    view.x = (canvas.width - full.width * view.scale) / 2;
    view.y = (canvas.height - full.height * view.scale) / 2;
    redraw();
  }

  function zoom(factor, x = canvas.width / 2, y = canvas.height / 2) {
    const scale = Math.min(Math.max(view.scale * factor, 0.05), 32);
    view.x = x - (x - view.x) * scale / view.scale;
    view.y = y - (y - view.y) * scale / view.scale;
    view.scale = scale;
    redraw();
  }

  function pan(dx, dy) { view.x += dx; view.y += dy; redraw(); }

  // --- the mouse ------------------------------------------------------------------------------

  function tellValues(event) {
    const layer = sharp ?? quick;
    if (!layer) return;
    const box = canvas.getBoundingClientRect();
    const x = Math.floor((event.clientX - box.left - view.x) / view.scale);
    const y = Math.floor((event.clientY - box.top - view.y) / view.scale);
    if (x < 0 || y < 0 || x >= full.width || y >= full.height) { underCursor.textContent = ""; return; }
    const shrunk = layer.planes[0].width / full.width;
    const values = channels.map((channel, n) => {
      const plane = layer.planes[n];
      return `${channel.name} ${plane.values[Math.floor(y * shrunk) * plane.width + Math.floor(x * shrunk)]}`;
    });
    underCursor.textContent = `x ${x}, y ${y}: ${values.join(", ")}${shrunk < 1 ? " (mean of its surroundings)" : ""}`;
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) pan(event.movementX, event.movementY);
    tellValues(event);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  canvas.addEventListener("dblclick", fit);
  window.addEventListener("resize", fit);

  // --- channels -------------------------------------------------------------------------------

  const contrast = document.getElementById("contrast");
  const common = channels.map(({ low, high }) => ({ low, high }));

  function control(tag, attributes) { return Object.assign(document.createElement(tag), attributes); }

  channels.forEach((channel, n) => {
    channel.on = true;
    const box = document.createElement("fieldset");
    const on = control("input", { type: "checkbox", checked: true });
    const name = control("label", { className: "channel-name" });
    name.append(on, channel.name);
    const colour = control("input", { type: "color", value: channel.colour });
    colour.setAttribute("aria-label", `Colour of ${channel.name}`);
    on.addEventListener("change", () => { channel.on = on.checked; contrastMoved(); });
    colour.addEventListener("input", () => { channel.colour = colour.value; contrastMoved(); });
    const inputs = {};
    const ranges = control("div", { className: "ranges" });
    box.append(colour, name);
    for (const [end, words] of [["low", "black at"], ["high", "bright at"]]) {
      const limits = { min: 0, max: channel.most, step: 1, value: Math.round(channel[end]) };
      const number = control("input", { type: "number", ...limits });
      const slider = control("input", { type: "range", ...limits });
      for (const input of [number, slider]) {
        input.setAttribute("aria-label", `${channel.name} ${words}`);
        input.addEventListener("input", () => {
          if (input.value === "") return;
          channel[end] = Number(input.value);
          show(n);
          contrastMoved();
        });
      }
      inputs[end] = [number, slider];
      box.append(number);
      ranges.append(slider);
    }
    box.append(ranges);
    channel.inputs = inputs;
    contrast.append(box);
  });

  function show(n) {
    for (const end of ["low", "high"]) {
      for (const input of channels[n].inputs[end]) {
        if (input !== document.activeElement) input.value = Math.round(channels[n][end]);
      }
    }
  }

  function setRanges(rangeOf) {
    channels.forEach((channel, n) => { Object.assign(channel, rangeOf(n)); show(n); });
    contrastMoved();
  }

  // Dark and bright end as the experiment's ranges are chosen: 0.5th and 99.7th percentile of sparse pixels.
  function ownRange(n) {
    const sparse = quick.planes[n].values.filter((_, i) => i % 7 === 0).sort();
    const at = (share) => sparse[Math.floor(share * (sparse.length - 1))];
    return { low: at(0.005), high: Math.max(at(0.997), at(0.005) + 1) };
  }

  document.getElementById("common").addEventListener("click", () => setRanges((n) => common[n]));
  document.getElementById("own").addEventListener("click", () => { if (quick) setRanges(ownRange); });

  // --- the keyboard ---------------------------------------------------------------------------

  const PAN_PX = 80;
  const moves = { ArrowLeft: [PAN_PX, 0], ArrowRight: [-PAN_PX, 0], ArrowUp: [0, PAN_PX], ArrowDown: [0, -PAN_PX] };
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const { key } = event;
    if (moves[key] && event.shiftKey) pan(...moves[key]);
    else if (key === "ArrowLeft") document.getElementById("previous")?.click();
    else if (key === "ArrowRight") document.getElementById("next")?.click();
    else if (moves[key]) pan(...moves[key]);
    else if (key === "+" || key === "=") zoom(1.5);
    else if (key === "-") zoom(1 / 1.5);
    else if (key === "0") fit();
    else if (key === "c") { alone = alone + 1 < channels.length ? alone + 1 : -1; contrastMoved(); tellAlone(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  function tellAlone() {
    underCursor.textContent = alone >= 0 ? `Only ${channels[alone].name}, in grey` : "All channels";
  }

  open();
});
