// What the page asks again and again: the state of the model, the last inspections, today's counts. Nobody looks: it waits.

import { $, CATEGORY, line, tellChange } from "./state.js";

const live = $("live");

document.body.addEventListener("htmx:beforeRequest", function (event) {
  const asks = event.detail.elt;
  if (document.hidden && (asks === live || asks.id === "today")) event.preventDefault();
  if (asks === live) listAsked = listShown;
});
document.addEventListener("visibilitychange", () => document.hidden || wake());
document.body.addEventListener("signed-in", wake);
window.addEventListener("pageshow", (event) => event.persisted && wake());
export function wake() {
  htmx.trigger(live, "wake");
  if ($("today")) htmx.trigger($("today"), "wake");
}

// A list that was asked for before a newer one was shown would take a part away again that the panel shows.
let listShown = 0, listAsked = 0;
document.body.addEventListener("htmx:beforeSwap", function (event) {
  if (event.detail.requestConfig.elt !== live || listAsked === listShown) return;
  event.detail.shouldSwap = false;
  htmx.trigger(live, "wake");
});
document.body.addEventListener("htmx:oobAfterSwap", () => (listShown += 1)); // that of a review is newer, too
// The list that came with an answer takes the place of the one that is shown.
export function showList(list) {
  const focused = $("latest").contains(document.activeElement) && document.activeElement.id;
  listShown += 1;
  $("latest").replaceWith(list);
  htmx.process(list);
  if (focused && $(focused)) $(focused).focus({ preventScroll: true });
}

document.body.addEventListener("htmx:afterSettle", function (event) {
  tellChange();
  // A category was chosen in another tab, or a first model was loaded: this page has no place for images yet.
  const category = $("state").dataset.category;
  if (!CATEGORY && category && event.detail.requestConfig?.elt === live) location.reload();
});
document.addEventListener("line-changed", function () {
  for (const link of document.querySelectorAll("#latest [data-open]")) {
    if (link.dataset.open === line.shown) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
});
