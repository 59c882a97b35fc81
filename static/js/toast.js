// Toasts: what was just done, over the page, with Undo. Without this they stand at the head of the next page.
// The server sends one with the event `toast` (common/web/toasts.py), and after an undo `undone` with the ids of the records.
"use strict";

(function () {
  const place = document.getElementById("toasts");
  const mould = document.getElementById("toast");
  if (!place || !mould) return;
  const LASTING = 20000; // milliseconds; longer while somebody points at it or has the focus in it

  function show(toast) {
    toast.removeAttribute("role"); // its place is announced already
    place.replaceChildren(toast); // Undo is of what was done last
    const close = Object.assign(document.createElement("button"), { type: "button", className: "button quiet", textContent: say("Close") });
    close.addEventListener("click", () => toast.remove());
    toast.append(close);
    (function wait() {
      setTimeout(function () {
        if (toast.matches(":hover, :focus-within")) wait();
        else toast.remove();
      }, LASTING);
    })();
  }

  document.body.addEventListener("toast", function (event) {
    const { text, undo = [] } = event.detail;
    const toast = mould.content.firstElementChild.cloneNode(true);
    toast.querySelector("p").textContent = text;
    const form = toast.querySelector("form");
    if (undo.length) {
      form.elements.next.value = location.pathname + location.search;
      for (const value of undo) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "review", value }));
    } else {
      form.remove();
    }
    // The events that came along with this one start at the Undo that was clicked, which must still be there.
    setTimeout(function () {
      show(toast);
      htmx.process(toast);
    });
  });

  // ---- what shows one record asks for `undone-ID`
  document.body.addEventListener("undone", function (event) {
    for (const id of event.detail.inspections || []) document.body.dispatchEvent(new CustomEvent(`undone-${id}`));
  });

  // ---- U: undo what was done last
  function undo() {
    const button = place.querySelector("form button") || document.querySelector("#own-review button");
    if (button?.disabled) return;
    // While a review is on its way the toast is of the one before it, which nobody wants undone.
    if (document.querySelector("#review.htmx-request, #records-form.htmx-request")) return;
    if (!button) {
      const shown = document.querySelector("#result[data-name]");
      const text = shown ? say("Nothing to undo here. A review of {} is undone on its record: Open record, then U.", shown.dataset.name) : say("Nothing to undo here.");
      return void document.body.dispatchEvent(new CustomEvent("toast", { detail: { text } }));
    }
    button.click();
  }
  shortcuts.add({ u: undo });

  // ---- one that came with the page floats as the others do
  for (const toast of document.querySelectorAll("main > .toast")) show(toast);
})();
