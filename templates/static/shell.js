// What every page shares: short messages, and problems that htmx brings back.
"use strict";

const cellqc = {
  csrfToken() {
    return JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
  },

  // A sentence at the foot of the page that goes away by itself.
  tell(sentence) {
    const toast = document.getElementById("toast");
    toast.textContent = sentence;
    toast.hidden = false;
    clearTimeout(cellqc.telling);
    cellqc.telling = setTimeout(() => { toast.hidden = true; }, 8000);
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
