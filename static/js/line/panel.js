// The panel: the part that was asked for last, and nothing else.

import { forgetDraft } from "./drafts.js";
import { $, address, CATEGORY, FETCH, line, parsed, tellChange, toast } from "./state.js";

let clock = 0;
let tellAgain = () => {}; // what the panel of a part that is being sent says follows what the head of the page says
document.body.addEventListener("htmx:afterSettle", () => tellAgain());

export function put(panel, id, since = 0) {
  const before = $("result");
  const focused = before.contains(document.activeElement);
  reportLater(before);
  clearInterval(clock);
  tellAgain = () => {};
  line.shown = id;
  before.replaceWith(panel);
  htmx.process(panel);
  htmx.trigger(panel, "htmx:load", { elt: panel });
  if (focused) panel.focus({ preventScroll: true });
  if (since) tick(panel, since);
  tellChange();
}
// A review that is on its way when its part leaves the panel still says what became of it.
function reportLater(panel) {
  const form = panel.querySelector("#review.htmx-request");
  if (!form) return;
  form.addEventListener("htmx:afterRequest", function (event) {
    if (session.over(event.detail.xhr)) return session.hold(event.detail.requestConfig);
    const said = event.detail.xhr.getResponseHeader("HX-Trigger");
    if (!event.detail.successful || !said) return toast(say("The review of {} was not recorded.", panel.dataset.name));
    forgetDraft(event.detail.requestConfig);
    for (const [name, detail] of Object.entries(JSON.parse(said))) document.body.dispatchEvent(new CustomEvent(name, { detail }));
  });
}
// The message of a review that stays while another part is shown says that it is not of this one.
let told = []; // the records that the last message is about
document.body.addEventListener("stands", function (event) {
  told = Object.keys(event.detail.records);
  setTimeout(tellPrevious);
});
document.addEventListener("line-changed", tellPrevious);
function tellPrevious() {
  const message = document.querySelector("#toasts .toast:has(form)");
  if (!message) return;
  const isOther = told.length === 1 && told[0] !== line.shown;
  const sign = message.querySelector(".previous");
  if (sign && !isOther) sign.remove();
  if (!sign && isOther) message.querySelector("p").prepend(Object.assign(document.createElement("span"), { className: "previous", textContent: say("Previous part:") + " " }));
}
export function pendingPanel({ name, picture, word, words }) {
  const panel = $("pending-panel").content.firstElementChild.cloneNode(true);
  const image = panel.querySelector("img");
  const room = $("result").querySelector(".pane");
  panel.querySelector("h1").textContent = name;
  panel.querySelector("[data-word]").textContent = word;
  panel.querySelector("[data-words]").textContent = words;
  if (room) panel.querySelector(".pane").style.minHeight = `${room.offsetHeight}px`;
  if (picture) image.src = picture;
  else image.remove();
  image.addEventListener("error", () => image.remove()); // no picture that a browser can show
  return panel;
}
function tick(panel, since) {
  const places = [...panel.querySelectorAll("[data-elapsed]")];
  const words = panel.querySelector("[data-words]");
  const judged = words.textContent;
  tellAgain = () => {
    const text = `${Math.round((Date.now() - since) / 1000)} s`;
    for (const place of [...places, ...document.querySelectorAll("#sending [data-elapsed]")]) place.textContent = text;
    const isStopped = document.querySelector("#state [data-judging=no]");
    words.textContent = isStopped ? say("The inspection service is down. The image waits.") : judged;
  };
  clock = setInterval(tellAgain, 1000);
  tellAgain();
}
function failedPanel(name, why, again) {
  const panel = pendingPanel({ name, word: say("NOT SHOWN"), words: why });
  delete panel.dataset.pending;
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button", textContent: say("Try again") });
  button.addEventListener("click", again);
  panel.querySelector("#verdict").append(button);
  return panel;
}

async function ask(where) {
  const answer = await fetch(where, { credentials: "same-origin", headers: FETCH });
  if (answer.headers.has("X-Sign-In")) {
    await session.signedIn();
    return ask(where);
  }
  if (!answer.ok) throw new Error(answer.status === 404 ? say("There is no such record.") : say("The server did not answer."));
  return parsed(await answer.text()).getElementById("result");
}
// Show a record, or what stands there where none is open.
export async function open(id, { name = "", picture = "", push = false } = {}) {
  const mine = (line.wish += 1);
  line.isOpened = Boolean(id);
  line.nextSince = 0;
  if (push) history.pushState(null, "", address(id));
  put(pendingPanel({ name, picture, word: say("OPENING"), words: "" }), id);
  let panel;
  try {
    panel = await ask(address(id));
  } catch (error) {
    panel = failedPanel(name, error.message, () => open(id, { name, picture }));
  }
  if (mine !== line.wish) return;
  put(panel, id);
  if (mine === line.step) bringIntoView(); // it may be taller than what stood there until the answer came
}
// Name and verdict: nobody reviews what is out of sight.
export function bringIntoView() {
  const panel = $("result");
  const word = panel.querySelector(".verdict-first > :first-child");
  const isCut = panel.getBoundingClientRect().top < 0 || (word && word.getBoundingClientRect().bottom > innerHeight);
  if (isCut) panel.scrollIntoView({ block: "start", behavior: "instant" });
}
document.addEventListener("click", function (event) {
  const link = event.target.closest("a[data-open]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const focused = document.activeElement === link; // by mouse or Enter: the keys of the viewer are its own then
  open(link.dataset.open, { name: link.querySelector(".name")?.textContent || "", picture: link.querySelector("img")?.src || "", push: true });
  if (focused && link.closest("#latest")) $("result").focus({ preventScroll: true });
});
// Back to the part whose review was undone.
document.body.addEventListener("undone", function (event) {
  const [id, ...others] = event.detail.inspections || [];
  const row = id && $(`s-${id}`);
  if (row && !others.length && id !== line.shown && !line.sending) open(id, { name: row.querySelector(".name").textContent, push: true });
});
// A review that waited for a sign-in was sent when another part was shown, or its own anew.
document.body.addEventListener("sent-later", function (event) {
  if (line.shown && event.detail.path.includes(line.shown)) open(line.shown, { name: $("result").dataset.name });
});
window.addEventListener("popstate", function () {
  const words = new URLSearchParams(location.search);
  const id = words.get("inspection") || "";
  if ((words.get("category") || CATEGORY) !== CATEGORY) return location.reload();
  if (id === line.shown && !line.sending) return; // another place of the same part: viewer.js
  const row = id && $(`s-${id}`);
  open(id, row ? { name: row.querySelector(".name").textContent, picture: row.querySelector("img")?.src } : {});
});
