// What every page shares: short messages, and problems that htmx brings back.
"use strict";

const cellqc = {
  csrfToken() {
    return JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  },

  // Who is logged in here; empty on the page that asks.
  get person() { return document.body.dataset.person ?? ""; },

  // A sentence at the foot of the page that goes away by itself. `offer` is a button beside it: {title, key, act};
  // with one the sentence is good news, without one it is a problem.
  tell(sentence, offer) {
    const toast = document.getElementById("toast");
    toast.textContent = sentence;
    toast.classList.toggle("is-news", Boolean(offer));
    if (offer) toast.append(" ", cellqc.button(offer.title, offer.act, offer.key));
    toast.hidden = false;
    clearTimeout(cellqc.telling);
    cellqc.telling = setTimeout(() => { toast.hidden = true; }, 8000);
  },

  button(title, act, key) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    if (key) {
      const cap = document.createElement("kbd");
      cap.textContent = key;
      button.append(" ", cap);
    }
    button.addEventListener("click", act);
    return button;
  },

  // A UUID, also where the page comes over plain HTTP and crypto.randomUUID is missing.
  uuid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  },

  // Counts with thin spaces, scores with a true minus: as the server writes them.
  counted: (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f"),
  score: (value, digits = 3) => value.toFixed(digits).replace("-", "\u2212"),
};

document.addEventListener("htmx:responseError", (event) => {
  const { status, responseText } = event.detail.xhr;
  cellqc.tell(status < 500 ? responseText : "The server could not do this. Nothing is lost; try again.");
});
document.addEventListener("htmx:sendError", () => cellqc.tell("The server does not answer. Try again in a moment."));

document.documentElement.classList.add("has-script");
