// Keys, and what comes after a review. G and D review the part that is shown, and no other: while there is no verdict
// there is nothing to press.

import { bringIntoView, open } from "./panel.js";
import { $, line, remembered, toast } from "./state.js";
import { isOfTogether, nextOfTogether } from "./together.js";

const TWICE = 500; // milliseconds
const reviewed = new Set(); // from this page

function step(by) {
  const links = [...document.querySelectorAll("#latest .strip-list a")];
  const at = links.findIndex((link) => link.dataset.open === line.shown);
  const next = links[at < 0 ? 0 : at + by];
  if (!next) return;
  document.activeElement.blur();
  next.scrollIntoView({ block: "nearest", behavior: "instant" });
  next.click();
  line.step = line.wish;
  bringIntoView();
}
function review(id) {
  if ($("result").dataset.pending !== undefined) toast(say("{} has no verdict yet. Nothing was reviewed.", $("result").querySelector("h1").textContent));
  else shortcuts.press(id);
}
// D asks what the defect is: type it, or nothing, then Enter. As on the pages of a record and of the history.
function askType() {
  if ($("defect_type")) $("defect_type").focus();
  else review("say-defect");
}
// Pressed twice, the second key was meant for the part before.
const unlessTwice = (act) => () => Date.now() - line.nextSince < TWICE || act();
shortcuts.add({ j: () => step(1), k: () => step(-1) }, { repeats: "jk" });
shortcuts.add({
  g: unlessTwice(() => review("say-good")),
  d: unlessTwice(askType),
  c: () => shortcuts.press("open-camera"),
});
shortcuts.addDefectType({ send: () => review("say-defect") });

// ---- whoever asked for it goes on to the next part after a review
function offerNext() {
  const box = $("next-part");
  if (box) box.checked = remembered("next") === "yes";
}
document.addEventListener("change", (event) => event.target.id === "next-part" && remembered("next", event.target.checked ? "yes" : "no"));
document.body.addEventListener("htmx:load", offerNext);
offerNext();
document.body.addEventListener("reviewed", function (event) {
  if (!event.target.closest?.("#result")) return;
  const id = line.shown;
  if (typing.isInField() && $("result").contains(document.activeElement)) document.activeElement.blur(); // the next key is the page's again
  reviewed.add(id);
  if (remembered("next") === "yes") setTimeout(() => id === line.shown && goOn(id));
});
document.body.addEventListener("undone", (event) => (event.detail.inspections || []).forEach((id) => reviewed.delete(id)));

// Of images sent together the next one that asks for a look, else the next newer one. No part of anything else.
function goOn(id) {
  const [next, name, why] = isOfTogether(id) ? nextOfTogether(id, reviewed) : nextNewer(id);
  if (!next) return endOfWay(why);
  document.activeElement.blur();
  const row = $(`s-${next}`);
  open(next, { name, picture: row?.querySelector("img")?.src || "", push: true });
  line.step = line.wish;
  line.nextSince = Date.now();
  bringIntoView();
}
function nextNewer(id) {
  const links = [...document.querySelectorAll("#latest .strip-list a[data-open]")];
  const at = links.findIndex((link) => link.dataset.open === id);
  const next = links.slice(0, Math.max(at, 0)).reverse().find((link) => !link.querySelector(".human") && !reviewed.has(link.dataset.open));
  if (next) return [next.dataset.open, next.querySelector(".name").textContent];
  return ["", "", at === 0 ? say("That was the newest part.") : say("No newer part is waiting for a review.")];
}
function endOfWay(why) {
  if (!$("next-none")) return;
  $("next-none").textContent = why;
  $("next-none").hidden = false;
}
