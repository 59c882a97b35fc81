// What became of images that were sent together: it stays until others are sent together, or it is closed. Folded to one
// line while the part that is shown is none of them.

import { $, address, line } from "./state.js";

export const WORDS = { good: say("good"), defective: say("DEFECT"), not_comparable: say("not comparable"), "": say("not judged") };
const ORDER = ["defective", "not_comparable", ""];
const inOrder = (one, other) => ORDER.indexOf(one.outcome) - ORDER.indexOf(other.outcome);

export const isOfTogether = (id) => Boolean(line.together && id && line.together.results.some((result) => result.id === id));
// The next one that asks for a look, as [id, name], else ["", "", why there is none].
export function nextOfTogether(id, reviewed) {
  const { results, waits, total } = line.together;
  const asking = results.filter((result) => result.id && result.outcome !== "good").sort(inOrder);
  const at = asking.findIndex((result) => result.id === id);
  const isOpen = (result) => !reviewed.has(result.id);
  const next = asking.slice(at + 1).find(isOpen);
  if (next) return [next.id, next.name];
  const left = asking.filter(isOpen).length;
  const why = [say("That was the last one to look at of these {} images.", total)];
  if (left) why.push(say("{} before it not reviewed.", left));
  if (waits) why.push(say("{} still to be judged.", waits));
  return ["", "", why.join(" ")];
}

let isFolded = false;
document.addEventListener("line-changed", foldElsewhere);
function foldElsewhere() {
  if (!$("queue")) return;
  const { together, sending, shown } = line;
  let isElsewhere = isFolded;
  if (!together || together.waits) isElsewhere = false;
  else if (sending) isElsewhere = sending.together !== together;
  else if (shown) isElsewhere = !isOfTogether(shown);
  if (isElsewhere !== isFolded) fold((isFolded = isElsewhere));
}
function fold(on) {
  $("queue").classList.toggle("folded", on);
  $("queue-unfold").setAttribute("aria-expanded", String(!on));
  $("queue-unfold").textContent = say(on ? "Show" : "Hide");
}

export function summarise() {
  foldElsewhere();
  $("queue").hidden = !line.together;
  if (!line.together) return;
  const { total, waits, results } = line.together;
  const counts = Object.entries(WORDS)
    .map(([outcome, word]) => [results.filter((result) => result.outcome === outcome).length, word])
    .filter(([count]) => count)
    .map(([count, word]) => `${count} ${word}`);
  const isOverruled = ({ outcome, stands }) => ["good", "defective"].includes(outcome) && stands && stands !== outcome;
  const overruled = results.filter(isOverruled).length;
  const said = say("{}, by the model", counts.join(", ")) + (overruled ? "; " + say("{} overruled", overruled) : "");
  const head = waits ? say("{} of {} images", total - waits, total) : total === 1 ? say("1 image") : say("{} images", total);
  $("queue-words").textContent = counts.length ? `${head}: ${said}` : head;
  $("queue-stop").hidden = $("queue-bar").hidden = !waits;
  $("queue-close").hidden = waits > 0;
  $("queue-bar").value = (total - waits) / total;
  const found = results.filter((result) => ORDER.includes(result.outcome) || isOverruled(result)).sort(inOrder);
  $("queue-unfold").hidden = !found.length;
  $("queue-found").replaceChildren(...found.map(foundItem));
}
function foundItem({ name, id, outcome, refused, stands = outcome }) {
  const item = document.createElement("li");
  item.className = outcome || "refused";
  const what = document.createElement(id ? "a" : "strong");
  what.append(Object.assign(document.createElement("span"), { className: "name", textContent: name }));
  if (id) Object.assign(what, { href: address(id) }).dataset.open = id;
  item.append(what, `: ${refused || WORDS[outcome]}${stands === outcome ? "" : say(", reviewed as {}", WORDS[stands])}`);
  return item;
}
// Reviews and their undos: the counts stay the model's, as at the foot of the page; the overruled ones are told beside them.
document.body.addEventListener("stands", function (event) {
  if (!line.together) return;
  for (const result of line.together.results) if (event.detail.records[result.id]) result.stands = event.detail.records[result.id];
  summarise();
});
if ($("queue")) {
  $("queue-unfold").addEventListener("click", () => fold(!$("queue").classList.contains("folded")));
  $("queue-close").addEventListener("click", function () {
    line.together = null;
    summarise();
  });
}
