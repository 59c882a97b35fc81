// Comments that were written and not sent: kept with their parts, until they are sent, as long as the tab is open.

import { $, address, line } from "./state.js";

const DRAFT = `comment.${$("sign-in").dataset.user}.`;

function drafts() {
  try {
    const names = Object.keys(sessionStorage).filter((name) => name.startsWith(DRAFT));
    return new Map(names.map((name) => [name.slice(DRAFT.length), JSON.parse(sessionStorage.getItem(name))]));
  } catch {
    return new Map();
  }
}
function keepDraft(id, name, text) {
  try {
    if (text.trim()) sessionStorage.setItem(DRAFT + id, JSON.stringify({ name, text }));
    else sessionStorage.removeItem(DRAFT + id);
  } catch {
    return; // a browser may keep nothing
  }
}
document.addEventListener("line-changed", function () {
  const found = drafts();
  const comment = document.querySelector("#result #comment");
  const draft = found.get(line.shown);
  if (comment && draft && !comment.value) comment.value = draft.text;
  if ($("comment-unsent")) $("comment-unsent").hidden = !draft;
  for (const link of document.querySelectorAll("#latest [data-open]")) {
    const sign = link.querySelector(".unsent");
    const isUnsent = found.has(link.dataset.open) && link.dataset.open !== line.shown;
    if (sign && !isUnsent) sign.remove();
    if (!sign && isUnsent) link.querySelector(".verdicts").append(Object.assign(document.createElement("span"), { className: "tag unsent", textContent: say("comment not sent") }));
  }
  const others = [...found].filter(([id]) => id !== line.shown);
  $("unsent").hidden = !others.length;
  $("unsent-parts").replaceChildren(...others.flatMap(([id, { name }], index) => {
    const link = Object.assign(document.createElement("a"), { href: address(id), textContent: name });
    link.dataset.open = id;
    return index ? [", ", link] : [link];
  }));
});
document.addEventListener("input", function (event) {
  if (event.target.id !== "comment" || !line.shown) return;
  keepDraft(line.shown, $("result").dataset.name, event.target.value);
  $("comment-unsent").hidden = !event.target.value.trim();
});
// What was sent is no draft any more; what was typed since is one.
export function forgetDraft({ path, formData }) {
  for (const [id, { text }] of drafts()) if (path.includes(id) && text.trim() === (formData.get("comment") || "").trim()) keepDraft(id, "", "");
}
document.body.addEventListener("htmx:beforeSwap", function (event) {
  const { requestConfig, xhr } = event.detail;
  if (requestConfig.elt.id === "review" && (xhr.getResponseHeader("HX-Trigger") || "").includes('"reviewed"')) forgetDraft(requestConfig);
});
document.body.addEventListener("sent-later", (event) => event.detail.formData && forgetDraft(event.detail));
