// The queue: images are sent one after another, from files, a drop, the clipboard or the camera.

import { startCamera } from "./camera.js";
import { takeKept } from "./early.js";
import { showList, wake } from "./live.js";
import { open, pendingPanel, put } from "./panel.js";
import { startPart } from "./part.js";
import { $, address, FETCH, line, parsed, tellChange, toast } from "./state.js";
import { summarise, WORDS } from "./together.js";

export function startQueue(form) {
  const part = startPart(form);
  const input = $("image");
  const photo = $("photo");
  const bar = form.querySelector("progress");
  input.multiple = true;
  input.required = false; // the button opens the choice of files

  const MAX_QUEUED = Number(form.dataset.most);
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let waiting = []; // the first of them is being sent, or is to be tried again

  function add(files) {
    const added = [...files];
    input.value = photo.value = "";
    if (!added.length) return;
    $("too-many").hidden = true;
    const many = waiting.length + asked.length + added.length;
    if (many > MAX_QUEUED) {
      $("too-many-count").textContent = many;
      $("too-many").hidden = false;
      return;
    }
    if (asked.length || (serial.value && added.length > 1)) askWhoseSerial(added);
    else enqueue(added);
  }
  // Several images and one serial number: it is asked whose it is before anything is sent.
  const { serial } = part;
  let asked = [], askedSerial = "";
  function askWhoseSerial(added) {
    asked.push(...added);
    askedSerial = serial.value || askedSerial;
    $("one-serial-words").textContent = say("{} images are chosen, and the serial number is {}.", asked.length, askedSerial);
    $("one-serial-all").textContent = say("All show {}", askedSerial);
    $("one-serial").hidden = false;
    $("one-serial").focus(); // not a button: scanners end with Enter
  }
  function answerWhoseSerial(act) {
    const files = asked;
    asked = [];
    $("one-serial").hidden = true;
    input.focus({ preventScroll: true });
    if (act) act(files);
  }
  $("one-serial-all").addEventListener("click", () => answerWhoseSerial((files) => enqueue(files, askedSerial)));
  $("one-serial-none").addEventListener("click", () => answerWhoseSerial((files) => enqueue(files, "")));
  $("one-serial-cancel").addEventListener("click", () => answerWhoseSerial());
  $("one-serial").addEventListener("keydown", (event) => event.key === "Escape" && answerWhoseSerial());
  function enqueue(added, number = serial.value) {
    const about = part.values(number);
    const items = added.map((file) => ({ name: file.name, file, about, key: random(), picture: URL.createObjectURL(file), follow: true }));
    if (waiting.length + items.length > 1) {
      if (!line.together || !line.together.waits) line.together = { total: waiting.length, waits: waiting.length, results: [] };
      for (const item of [...waiting, ...items]) item.together = line.together;
      line.together.total += items.length;
      line.together.waits += items.length;
    }
    if (serial.value === number) serial.value = ""; // of the part that is being sent, not of the next
    part.tell();
    waiting.push(...items);
    for (const item of waiting) item.follow = true; // the panel is the part's that is being sent
    summarise();
    if ($("offline").hidden) send();
    if (line.sending && line.sending.wish !== line.wish) show(line.sending);
  }
  // The panel, the list and the address become those of the part that was sent.
  function show(item) {
    item.wish = line.wish += 1;
    if (line.isOpened) history.pushState(null, "", address(""));
    else history.replaceState(null, "", address(""));
    line.isOpened = false;
    if (item.halted) put(pendingPanel({ ...item, ...item.halted }), "");
    else put(pendingPanel({ ...item, word: say("PENDING"), words: say("Being judged.") }), "", item.since);
  }
  // It is not on its way: its panel says so now, and whenever it is opened.
  function halt(item, word, words) {
    item.halted = { word, words };
    if (item.wish === line.wish) put(pendingPanel({ ...item, word, words }), "");
  }
  function send() {
    if (line.sending || !waiting.length) return;
    const item = (line.sending = waiting[0]);
    item.since = Date.now();
    item.halted = null;
    const row = $("pending-row").content.firstElementChild.cloneNode(true);
    row.querySelector(".name").textContent = item.name;
    const image = row.querySelector("img");
    image.addEventListener("error", () => image.removeAttribute("src")); // browsers do not show every format
    if (item.picture) image.src = item.picture;
    row.querySelector("a").addEventListener("click", () => show(item));
    $("sending").replaceChildren(row);
    $("sending").hidden = false;
    if (item.follow) show(item);
    tellChange();
    transmit(item);
  }
  function transmit(item) {
    const body = new FormData(form);
    body.delete("photo");
    body.delete("image");
    if (item.file) body.set("image", item.file, item.name);
    if (item.file) body.set("key", item.key);
    for (const [name, value] of item.about || []) body.set(name, value);
    const request = new XMLHttpRequest();
    request.open("POST", item.action || form.action);
    for (const [name, value] of Object.entries(FETCH)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", function (event) {
      if (event.lengthComputable && event.loaded < event.total) bar.value = event.loaded / event.total;
      else bar.removeAttribute("value");
    });
    request.addEventListener("load", () => answered(item, request));
    for (const name of ["error", "abort", "timeout"]) request.addEventListener(name, () => unanswered(item));
    bar.classList.add("busy");
    bar.removeAttribute("value");
    request.send(body);
  }
  async function answered(item, request) {
    if (session.over(request)) {
      halt(item, say("WAITING"), say("It is sent when you have signed in."));
      if (await session.signedIn(item.name)) {
        item.halted = null;
        if (item.wish === line.wish) show(item);
        return transmit(item);
      }
      if (item.together) item.together.results.push({ name: item.name, id: "", outcome: "", refused: say("not sent") });
      if (item.wish === line.wish) put(pendingPanel({ ...item, word: say("NOT SENT"), words: say("Nothing was kept of the image.") }), "");
      rest(item);
      giveBackSerial(item);
      summarise();
      return send();
    }
    const page = parsed(request.status === 200 ? request.responseText : "");
    const panel = page.getElementById("result") || refusedPanel(item, request.status);
    if (!panel) return unanswered(item);
    const { inspection = "", outcome = "", refused = "" } = panel.dataset;
    const latest = page.getElementById("latest");
    rest(item);
    $("offline").hidden = true;
    if (latest) showList(latest);
    if (item.together) item.together.results.push({ name: item.name, id: inspection, outcome, refused });
    if (!inspection) giveBackSerial(item);
    const isShown = item.wish === line.wish;
    if (isShown) {
      history.replaceState(null, "", inspection ? panel.dataset.address : address(""));
      put(panel, inspection);
    } else {
      toast(`${item.name}: ${WORDS[outcome]}${inspection ? "" : ". " + refused}`);
    }
    if (inspection) document.body.dispatchEvent(new CustomEvent("inspected"));
    else wake(); // one image less waits
    tellChange();
    summarise();
    // Whoever opened another record meanwhile is not taken away from it.
    if (!isShown) for (const next of waiting) next.follow = false;
    else if (!waiting.length && item.together) stayAtDefect(item.together.results, inspection);
    send();
  }
  // Of images sent together the part that stays open is the first defect, where there is one.
  function stayAtDefect(results, last) {
    const first = results.find((result) => result.outcome === "defective");
    if (!first || first.id === last) return;
    history.replaceState(null, "", address(first.id));
    open(first.id, { name: first.name });
    line.isOpened = false;
  }
  // Refused before it was looked at: sending it again changes nothing.
  function refusedPanel(item, status) {
    if (status < 400 || status >= 500) return null;
    const why = status === 413 ? say("The file is too large. Nothing was kept.") : say("The server refused it ({}). Nothing was kept.", status);
    const panel = pendingPanel({ ...item, word: say("NOT JUDGED"), words: why });
    delete panel.dataset.pending;
    panel.dataset.refused = why;
    return panel;
  }
  function unanswered(item) {
    line.sending = null;
    bar.classList.remove("busy");
    $("offline-what").textContent = say("{} may not have been judged.", item.name);
    $("offline").hidden = false;
    halt(item, say("NO ANSWER"), say("Whether it was judged is not known. Try again: it is not judged twice."));
  }
  function rest(item) {
    waiting = waiting.filter((other) => other !== item);
    line.sending = null;
    if (item.together) item.together.waits -= 1;
    $("sending").hidden = true;
    $("sending").replaceChildren();
    bar.classList.remove("busy");
    if (item.picture) setTimeout(() => URL.revokeObjectURL(item.picture), 60000);
  }
  // What was not judged has used no serial number: it stands there for the next try, unless another was scanned.
  function giveBackSerial(item) {
    const [, number] = (item.about || []).find(([name]) => name === serial.name) || [];
    if (number && !serial.value && !item.together) serial.value = number;
    part.tell();
  }

  $("queue-stop").addEventListener("click", function () {
    const left = waiting.filter((item) => item !== line.sending);
    waiting = waiting.filter((item) => item === line.sending);
    for (const item of left) if (item.together) [item.together.total, item.together.waits] = [item.together.total - 1, item.together.waits - 1];
    if (!line.sending) $("offline").hidden = true;
    summarise();
  });
  $("offline-again").addEventListener("click", function () {
    $("offline").hidden = true;
    send();
  });
  $("offline-drop").addEventListener("click", function () {
    $("offline").hidden = true;
    const [left] = waiting;
    if (left) {
      if (left.together) left.together.results.push({ name: left.name, id: "", outcome: "", refused: say("the server did not answer") });
      if (left.wish === line.wish) put(pendingPanel({ ...left, word: say("SKIPPED"), words: say("Whether it was judged is not known: look at the list.") }), "");
      rest(left);
    }
    summarise();
    wake();
    send();
  });
  window.addEventListener("beforeunload", function (event) {
    if (waiting.length > 1 || (waiting.length && !$("offline").hidden)) event.preventDefault();
  });
  form.addEventListener("submit", function (event) {
    event.preventDefault();
    if (!input.files.length && !photo.files.length) input.click();
    else add(input.files.length ? input.files : photo.files);
  });
  // What nobody judged in time was kept: it is judged again, not sent again.
  document.addEventListener("submit", function (event) {
    const button = event.submitter;
    const again = event.target.closest("[data-again]") || button?.closest("[data-again]");
    if (!again) return;
    event.preventDefault();
    const action = button?.hasAttribute("formaction") ? button.formAction : event.target.action;
    if (waiting.some((item) => item.action === action)) return;
    const item = { name: again.dataset.again, action, follow: true };
    if (line.sending) waiting.push(item);
    else waiting.unshift(item);
    send();
  }, true);

  // ---- where images come from
  for (const source of [input, photo]) source.addEventListener("change", () => add(source.files));
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, function (event) {
      event.preventDefault();
      form.classList.add("over");
    });
  }
  document.addEventListener("dragleave", function (event) {
    if (!event.relatedTarget) form.classList.remove("over");
  });
  document.addEventListener("drop", function (event) {
    event.preventDefault();
    form.classList.remove("over");
    add(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));

  takeKept().then((files) => files && add(files));
  document.addEventListener("line-changed", function () {
    for (const link of document.querySelectorAll("#sending a")) {
      if (line.sending && line.sending.wish === line.wish) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  });
  startCamera(form, add);
}
