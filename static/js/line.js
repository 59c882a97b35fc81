// The line: one part at a time in the panel, the list and the address; a queue of images, paste, camera, keys.
// Without scripts the form uploads, links open, forms review, and the page answers.
"use strict";

(function () {
  const $ = (id) => document.getElementById(id);
  const live = $("live");
  const CATEGORY = $("state").dataset.category;
  const FETCH = { "X-Requested-With": "fetch" };
  const address = (id) => `${location.pathname}?${new URLSearchParams({ ...(CATEGORY && { category: CATEGORY }), ...(id && { inspection: id }) })}`;
  const toast = (text) => document.body.dispatchEvent(new CustomEvent("toast", { detail: { text } }));

  // ---- what the page asks again and again. Nobody looks: it waits
  document.body.addEventListener("htmx:beforeRequest", function (event) {
    const asks = event.detail.elt;
    if (document.hidden && (asks === live || asks.id === "today")) event.preventDefault();
    if (asks === live) listAsked = listShown;
  });
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  document.body.addEventListener("signed-in", wake);
  window.addEventListener("pageshow", (event) => event.persisted && wake());
  function wake() {
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
  document.body.addEventListener("htmx:afterSettle", function (event) {
    mark();
    tellAgain();
    // A category was chosen in another tab, or a first model was loaded: this page has no place for images yet.
    const category = $("state").dataset.category;
    if (!CATEGORY && category && event.detail.requestConfig && event.detail.requestConfig.elt === live) location.reload();
  });

  // ---- comments that were written and not sent: kept with their parts, until they are sent, as long as the tab is open
  const DRAFT = `comment.${document.getElementById("sign-in").dataset.user}.`;
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
  function showDrafts() {
    const found = drafts();
    const comment = document.querySelector("#result #comment");
    const draft = found.get(shown);
    if (comment && draft && !comment.value) comment.value = draft.text;
    if ($("comment-unsent")) $("comment-unsent").hidden = !draft;
    for (const link of document.querySelectorAll("#latest [data-open]")) {
      const sign = link.querySelector(".unsent");
      const isUnsent = found.has(link.dataset.open) && link.dataset.open !== shown;
      if (sign && !isUnsent) sign.remove();
      if (!sign && isUnsent) link.querySelector(".verdicts").append(Object.assign(document.createElement("span"), { className: "tag unsent", textContent: "comment not sent" }));
    }
    const others = [...found].filter(([id]) => id !== shown);
    $("unsent").hidden = !others.length;
    $("unsent-parts").replaceChildren(...others.flatMap(([id, { name }], index) => {
      const link = Object.assign(document.createElement("a"), { href: address(id), textContent: name });
      link.dataset.open = id;
      return index ? [", ", link] : [link];
    }));
  }
  document.addEventListener("input", function (event) {
    if (event.target.id !== "comment" || !shown) return;
    keepDraft(shown, $("result").dataset.name, event.target.value);
    $("comment-unsent").hidden = !event.target.value.trim();
  });
  // What was sent is no draft any more; what was typed since is one.
  function forgetDraft({ path, formData }) {
    for (const [id, { text }] of drafts()) if (path.includes(id) && text.trim() === (formData.get("comment") || "").trim()) keepDraft(id, "", "");
  }
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    const { requestConfig, xhr } = event.detail;
    if (requestConfig.elt.id === "review" && (xhr.getResponseHeader("HX-Trigger") || "").includes('"reviewed"')) forgetDraft(requestConfig);
  });
  document.body.addEventListener("sent-later", (event) => event.detail.formData && forgetDraft(event.detail));

  // ---- the panel: whatever is asked for last, and nothing else. An answer that comes later than a newer wish is dropped
  let wish = 0;
  let stepped = 0; // the wish that a step through the list was
  let shown = $("result").dataset.inspection || ""; // the record that panel, list and address are about; "" for none
  let opened = Boolean(shown); // by a person: the way back leads to it
  let clock = 0;
  let cameByItself = 0; // when the part that is shown was opened after a review of another; 0: a person opened it
  let tellAgain = () => {}; // what the panel of a part that is being sent says follows what the head of the page says

  function mark() {
    for (const link of document.querySelectorAll("#latest [data-open]")) {
      if (link.dataset.open === shown) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    showDrafts();
    tellPrevious();
    foldRun();
    for (const link of document.querySelectorAll("#sending a")) {
      if (sending && sending.wish === wish) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
  function put(panel, id, since = 0) {
    const before = $("result");
    const focused = before.contains(document.activeElement);
    reportLater(before);
    clearInterval(clock);
    tellAgain = () => {};
    shown = id;
    before.replaceWith(panel);
    htmx.process(panel);
    htmx.trigger(panel, "htmx:load", { elt: panel });
    if (focused) panel.focus({ preventScroll: true });
    if (since) tick(panel, since);
    mark();
  }
  // A review that is on its way when its part leaves the panel still says what became of it.
  function reportLater(panel) {
    const form = panel.querySelector("#review.htmx-request");
    if (!form) return;
    form.addEventListener("htmx:afterRequest", function (event) {
      if (session.over(event.detail.xhr)) return session.hold(event.detail.requestConfig);
      const said = event.detail.xhr.getResponseHeader("HX-Trigger");
      if (!event.detail.successful || !said) return toast(`The review of ${panel.dataset.name} was not recorded.`);
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
  function tellPrevious() {
    const toast = document.querySelector("#toasts .toast:has(form)");
    if (!toast) return;
    const isOther = told.length === 1 && told[0] !== shown;
    const sign = toast.querySelector(".previous");
    if (sign && !isOther) sign.remove();
    if (!sign && isOther) toast.querySelector("p").prepend(Object.assign(document.createElement("span"), { className: "previous", textContent: "Previous part: " }));
  }
  function pendingPanel({ name, picture, word, words }) {
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
    const say = () => {
      const text = `${Math.round((Date.now() - since) / 1000)} s`;
      for (const place of [...places, ...document.querySelectorAll("#sending [data-elapsed]")]) place.textContent = text;
      const isStopped = document.querySelector("#state [data-judging=no]");
      words.textContent = isStopped ? "Nothing is judging at the moment. The image waits." : judged;
    };
    tellAgain = say;
    clock = setInterval(say, 1000);
    say();
  }
  function failedPanel(name, why, again) {
    const panel = pendingPanel({ name, word: "NOT SHOWN", words: why });
    delete panel.dataset.pending;
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "button", textContent: "Try again" });
    button.addEventListener("click", again);
    panel.querySelector("#verdict").append(button);
    return panel;
  }
  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

  async function ask(where) {
    const answer = await fetch(where, { credentials: "same-origin", headers: FETCH });
    if (answer.headers.has("X-Sign-In")) {
      await session.signedIn();
      return ask(where);
    }
    if (!answer.ok) throw new Error(answer.status === 404 ? "There is no such record." : "The server did not answer.");
    return parsed(await answer.text()).getElementById("result");
  }
  // Show a record, or what stands there where none is open.
  async function open(id, { name = "", picture = "", push = false } = {}) {
    const mine = (wish += 1);
    opened = Boolean(id);
    cameByItself = 0;
    if (push) history.pushState(null, "", address(id));
    put(pendingPanel({ name, picture, word: "OPENING", words: "" }), id);
    let panel;
    try {
      panel = await ask(address(id));
    } catch (error) {
      panel = failedPanel(name, error.message, () => open(id, { name, picture }));
    }
    if (mine !== wish) return;
    put(panel, id);
    if (mine === stepped) bringIntoView(); // it may be taller than what stood there until the answer came
  }
  document.addEventListener("click", function (event) {
    const link = event.target.closest("a[data-open]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const focused = document.activeElement === link; // by mouse or Enter: the keys of the viewer are its own then
    const image = link.querySelector("img");
    const name = link.querySelector(".name");
    open(link.dataset.open, { name: name ? name.textContent : "", picture: image ? image.src : "", push: true });
    if (focused && link.closest("#latest")) $("result").focus({ preventScroll: true });
  });
  // Back to the part whose review was undone.
  document.body.addEventListener("undone", function (event) {
    const [id, ...others] = event.detail.inspections || [];
    const row = id && $(`s-${id}`);
    if (row && !others.length && id !== shown && !sending) open(id, { name: row.querySelector(".name").textContent, push: true });
  });
  // A review that waited for a sign-in was sent when another part was shown, or its own anew.
  document.body.addEventListener("sent-later", function (event) {
    if (shown && event.detail.path.includes(shown)) open(shown, { name: $("result").dataset.name });
  });
  window.addEventListener("popstate", function () {
    const words = new URLSearchParams(location.search);
    const id = words.get("inspection") || "";
    if ((words.get("category") || CATEGORY) !== CATEGORY) return location.reload();
    if (id === shown && !sending) return; // another place of the same part: viewer.js
    const row = id && $(`s-${id}`);
    open(id, row ? { name: row.querySelector(".name").textContent, picture: (row.querySelector("img") || {}).src } : {});
  });

  // ---- keys. G and D review the part that is shown, and no other: while there is no verdict there is nothing to press
  function step(by) {
    const links = [...document.querySelectorAll("#latest .strip-list a")];
    const at = links.findIndex((link) => link.dataset.open === shown);
    const next = links[at < 0 ? 0 : at + by];
    if (!next) return;
    document.activeElement.blur();
    next.scrollIntoView({ block: "nearest", behavior: "instant" });
    next.click();
    stepped = wish;
    bringIntoView();
  }
  // Name and verdict: nobody reviews what is out of sight.
  function bringIntoView() {
    const panel = $("result");
    const word = panel.querySelector(".verdict-first > :first-child");
    const isCut = panel.getBoundingClientRect().top < 0 || (word && word.getBoundingClientRect().bottom > innerHeight);
    if (isCut) panel.scrollIntoView({ block: "start", behavior: "instant" });
  }
  function review(id) {
    if ($("result").dataset.pending !== undefined) toast(`${$("result").querySelector("h1").textContent} has no verdict yet. Nothing was reviewed.`);
    else shortcuts.press(id);
  }
  // D asks what the defect is: type it, or nothing, then Enter. As on the pages of a record and of the history.
  function askType() {
    if ($("defect_type")) $("defect_type").focus();
    else review("say-defect");
  }
  // Pressed twice, the second key was meant for the part before.
  const unlessTwice = (act) => () => Date.now() - cameByItself < TWICE || act();
  shortcuts.add({ j: () => step(1), k: () => step(-1) }, { repeats: "jk" });
  shortcuts.add({
    g: unlessTwice(() => review("say-good")),
    d: unlessTwice(askType),
    c: () => shortcuts.press("open-camera"),
  });
  shortcuts.addDefectType({ send: () => review("say-defect") });
  // A browser may keep nothing: then nothing is remembered.
  function kept(name, value) {
    try {
      if (value === undefined) return localStorage.getItem("line." + name) || "";
      localStorage.setItem("line." + name, value);
    } catch {
      return "";
    }
  }
  // Whoever asked for it goes on to the next part after a review.
  function offerNext() {
    const box = $("next-part");
    if (box) box.checked = kept("next") === "yes";
  }
  document.addEventListener("change", (event) => event.target.id === "next-part" && kept("next", event.target.checked ? "yes" : "no"));
  document.body.addEventListener("htmx:load", offerNext);
  offerNext();
  document.body.addEventListener("reviewed", function (event) {
    if (!event.target.closest || !event.target.closest("#result")) return;
    const id = shown;
    if (typing.isInField() && $("result").contains(document.activeElement)) document.activeElement.blur(); // the next key is the page's again
    reviewed.add(id);
    if (kept("next") === "yes") setTimeout(() => id === shown && goOn(id));
  });
  document.body.addEventListener("undone", (event) => (event.detail.inspections || []).forEach((id) => reviewed.delete(id)));

  // ---- after a review: in a run its next part that asks for a look, else the next newer one. No part of anything else
  const TWICE = 500; // milliseconds
  const reviewed = new Set(); // from this page
  function goOn(id) {
    const [next, name, why] = isOfRun(id) ? nextOfRun(id) : nextNewer(id);
    if (!next) return endOfWay(why);
    document.activeElement.blur();
    const row = $(`s-${next}`);
    open(next, { name, picture: row && row.querySelector("img") ? row.querySelector("img").src : "", push: true });
    stepped = wish;
    cameByItself = Date.now();
    bringIntoView();
  }
  function nextNewer(id) {
    const links = [...document.querySelectorAll("#latest .strip-list a[data-open]")];
    const at = links.findIndex((link) => link.dataset.open === id);
    const next = links.slice(0, Math.max(at, 0)).reverse().find((link) => !link.querySelector(".human") && !reviewed.has(link.dataset.open));
    if (next) return [next.dataset.open, next.querySelector(".name").textContent];
    return ["", "", at === 0 ? "That was the newest part." : "No newer part is waiting for a review."];
  }
  function endOfWay(why) {
    if (!$("next-none")) return;
    $("next-none").textContent = why;
    $("next-none").hidden = false;
  }

  // ---- images that come before it is said what is inspected here wait for that: they are sent once it is chosen
  const CHOSEN = "images-before-a-choice";
  function store(act) {
    return new Promise(function (resolve, reject) {
      const asked = indexedDB.open("line", 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore(CHOSEN);
      asked.onerror = () => reject(asked.error);
      asked.onsuccess = function () {
        const writing = asked.result.transaction(CHOSEN, "readwrite");
        const answer = act(writing.objectStore(CHOSEN));
        writing.oncomplete = () => (asked.result.close(), resolve(answer.result));
        writing.onerror = () => (asked.result.close(), reject(writing.error));
      };
    });
  }
  function keepForLater() {
    const choice = $("choose-category");
    let early = [];
    function take(files) {
      if (!files.length) return;
      early.push(...files);
      const place = $("early");
      if (!place) return toast("Images cannot be inspected here yet. Nothing was sent.");
      const [first] = early;
      $("early-words").textContent = early.length === 1 ? `${first.name} is kept and sent after the choice.` : `${early.length} images are kept and sent after the choice.`;
      place.hidden = false;
      choice.querySelector(".button").focus();
    }
    for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => event.preventDefault());
    document.addEventListener("drop", function (event) {
      event.preventDefault();
      take(event.dataTransfer.files);
    });
    document.addEventListener("paste", (event) => take(event.clipboardData.files));
    if (choice) choice.addEventListener("click", async function (event) {
      const link = event.target.closest("a.button");
      if (!link || !early.length) return;
      event.preventDefault();
      const files = early;
      early = [];
      await store((kept) => kept.put(files, ownTab())).catch(() => toast("This browser cannot keep the images: drop them again."));
      location.assign(link.href);
    });
  }
  // One tab's images are not another's.
  function ownTab() {
    const name = sessionStorage.getItem("line.tab") || String(Math.random());
    sessionStorage.setItem("line.tab", name);
    return name;
  }
  async function sendKept() {
    if (!sessionStorage.getItem("line.tab")) return;
    const files = await store((kept) => kept.get(ownTab())).catch(() => null);
    if (!files) return;
    await store((kept) => kept.delete(ownTab())).catch(() => null);
    add(files);
  }

  let sending = null; // the image whose answer is waited for
  let together = null; // the images that were sent together last, and what became of them
  // ---- what became of them: see below. Folded to one line while the part that is shown is none of them
  const isOfRun = (id) => Boolean(together && id && together.results.some((result) => result.id === id));
  const ORDER = ["defective", "not_comparable", ""];
  function nextOfRun(id) {
    const asking = together.results.filter((result) => result.id && result.outcome !== "good");
    asking.sort((one, other) => ORDER.indexOf(one.outcome) - ORDER.indexOf(other.outcome));
    const at = asking.findIndex((result) => result.id === id);
    const isOpen = (result) => !reviewed.has(result.id);
    const next = asking.slice(at + 1).find(isOpen);
    if (next) return [next.id, next.name];
    const left = asking.filter(isOpen).length;
    const waits = together.waits ? ` ${together.waits} still to be judged.` : "";
    return ["", "", `That was the last one to look at of these ${together.total} images.${left ? ` ${left} before it not reviewed.` : ""}${waits}`];
  }
  function foldRun() {
    if (!$("queue")) return;
    let isElsewhere = isFolded;
    if (!together || together.waits) isElsewhere = false;
    else if (sending) isElsewhere = sending.together !== together;
    else if (shown) isElsewhere = !isOfRun(shown);
    if (isElsewhere !== isFolded) fold((isFolded = isElsewhere));
  }
  let isFolded = false;
  function fold(on) {
    $("queue").classList.toggle("folded", on);
    $("queue-unfold").setAttribute("aria-expanded", String(!on));
    $("queue-unfold").textContent = on ? "Show" : "Hide";
  }
  mark();
  const form = $("upload");
  if (!form) return keepForLater();
  const input = $("image");
  const photo = $("photo");
  const bar = form.querySelector("progress");
  input.multiple = true;
  input.required = false; // the button opens the choice of files

  // ---- the queue: one image after another
  const MAX_QUEUED = Number(form.dataset.most);
  const ABOUT = ["station", "lot", "part_number", "serial_number"]; // what is known of a part
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
  const serial = form.elements.serial_number;
  let asked = [], askedSerial = "";
  function askWhoseSerial(added) {
    asked.push(...added);
    askedSerial = serial.value || askedSerial;
    $("one-serial-words").textContent = `${asked.length} images are chosen, and the serial number is ${askedSerial}.`;
    $("one-serial-all").textContent = `All show ${askedSerial}`;
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
    // Of these images, whatever is typed until their turn comes.
    const about = ABOUT.map((name) => [name, name === serial.name ? number : form.elements[name].value]);
    const items = added.map((file) => ({ name: file.name, file, about, key: random(), picture: URL.createObjectURL(file), follow: true }));
    if (waiting.length + items.length > 1) {
      if (!together || !together.waits) together = { total: waiting.length, waits: waiting.length, results: [] };
      for (const item of waiting) item.together = together;
      for (const item of items) item.together = together;
      together.total += items.length;
      together.waits += items.length;
    }
    if (serial.value === number) serial.value = ""; // it is that of the part that is being sent, and not of the next one
    tellPart();
    waiting.push(...items);
    for (const item of waiting) item.follow = true; // the panel is the part's that is being sent
    summarise();
    if ($("offline").hidden) send();
    if (sending && sending.wish !== wish) show(sending);
  }
  // The panel, the list and the address become those of the part that was sent.
  function show(item) {
    item.wish = wish += 1;
    if (opened) history.pushState(null, "", address(""));
    else history.replaceState(null, "", address(""));
    opened = false;
    if (item.halted) put(pendingPanel({ ...item, ...item.halted }), "");
    else put(pendingPanel({ ...item, word: "PENDING", words: "Being judged." }), "", item.since);
  }
  // It is not on its way: its panel says so now, and whenever it is opened.
  function halt(item, word, words) {
    item.halted = { word, words };
    if (item.wish === wish) put(pendingPanel({ ...item, word, words }), "");
  }
  function send() {
    if (sending || !waiting.length) return;
    const item = (sending = waiting[0]);
    item.since = Date.now();
    item.halted = null;
    const row = $("pending-row").content.firstElementChild.cloneNode(true);
    row.querySelector(".name").textContent = item.name;
    if (item.picture) row.querySelector("img").src = item.picture;
    row.querySelector("a").addEventListener("click", () => show(item));
    $("sending").replaceChildren(row);
    $("sending").hidden = false;
    if (item.follow) show(item);
    mark();
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
      halt(item, "WAITING", "It is sent when you have signed in.");
      if (await session.signedIn(item.name)) {
        item.halted = null;
        if (item.wish === wish) show(item);
        return transmit(item);
      }
      if (item.together) item.together.results.push({ name: item.name, id: "", outcome: "", refused: "not sent" });
      if (item.wish === wish) put(pendingPanel({ ...item, word: "NOT SENT", words: "Nothing was kept of the image." }), "");
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
    if (latest) {
      const focused = $("latest").contains(document.activeElement) && document.activeElement.id;
      listShown += 1;
      $("latest").replaceWith(latest);
      htmx.process(latest);
      if (focused && $(focused)) $(focused).focus({ preventScroll: true });
    }
    if (item.together) item.together.results.push({ name: item.name, id: inspection, outcome, refused });
    if (!inspection) giveBackSerial(item);
    const isShown = item.wish === wish;
    if (isShown) {
      history.replaceState(null, "", inspection ? panel.dataset.address : address(""));
      put(panel, inspection);
    } else {
      toast(`${item.name}: ${inspection ? WORDS[outcome] : "not judged. " + refused}`);
    }
    if (inspection) document.body.dispatchEvent(new CustomEvent("inspected"));
    else wake(); // one image less waits
    mark();
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
    opened = false;
  }
  // Reviews and their undos: the counts stay the model's, as at the foot of the page; the overruled ones are told beside them.
  document.body.addEventListener("stands", function (event) {
    if (!together) return;
    for (const result of together.results) if (event.detail.records[result.id]) result.stands = event.detail.records[result.id];
    summarise();
  });
  // Refused before it was looked at: sending it again changes nothing.
  function refusedPanel(item, status) {
    if (status < 400 || status >= 500) return null;
    const why = status === 413 ? "The file is too large. Nothing was kept." : `The server refused it (${status}). Nothing was kept.`;
    const panel = pendingPanel({ ...item, word: "NOT JUDGED", words: why });
    delete panel.dataset.pending;
    panel.dataset.refused = why;
    return panel;
  }
  function unanswered(item) {
    sending = null;
    bar.classList.remove("busy");
    $("offline-what").textContent = `${item.name} may not have been judged.`;
    $("offline").hidden = false;
    halt(item, "NO ANSWER", "Whether it was judged is not known. Try again: it is not judged twice.");
  }
  function rest(item) {
    waiting = waiting.filter((other) => other !== item);
    sending = null;
    if (item.together) item.together.waits -= 1;
    $("sending").hidden = true;
    $("sending").replaceChildren();
    bar.classList.remove("busy");
    if (item.picture) setTimeout(() => URL.revokeObjectURL(item.picture), 60000);
  }
  // What was not judged has used no serial number: it stands there for the next try, unless another was scanned meanwhile.
  function giveBackSerial(item) {
    const [, number] = (item.about || []).find(([name]) => name === serial.name) || [];
    if (number && !serial.value && !item.together) serial.value = number;
    tellPart();
  }

  // ---- what became of images that were sent together: it stays until others are sent together, or it is closed
  const WORDS = { good: "good", defective: "DEFECT", not_comparable: "not comparable", "": "not judged" };
  function summarise() {
    foldRun();
    $("queue").hidden = !together;
    if (!together) return;
    const { total, waits, results } = together;
    const counts = Object.entries(WORDS)
      .map(([outcome, word]) => [results.filter((result) => result.outcome === outcome).length, word])
      .filter(([count]) => count)
      .map(([count, word]) => `${count} ${word}`);
    const isOverruled = ({ outcome, stands }) => ["good", "defective"].includes(outcome) && stands && stands !== outcome;
    const overruled = results.filter(isOverruled).length;
    const said = `${counts.join(", ")}, says the model${overruled ? `; ${overruled} overruled` : ""}`;
    const head = waits ? `${total - waits} of ${total} images` : `${total} image${total === 1 ? "" : "s"}`;
    $("queue-words").textContent = counts.length ? `${head}: ${said}` : head;
    $("queue-stop").hidden = $("queue-bar").hidden = !waits;
    $("queue-close").hidden = waits > 0;
    $("queue-bar").value = (total - waits) / total;
    const found = results.filter((result) => ORDER.includes(result.outcome) || isOverruled(result));
    found.sort((one, other) => ORDER.indexOf(one.outcome) - ORDER.indexOf(other.outcome));
    $("queue-unfold").hidden = !found.length;
    $("queue-found").replaceChildren(...found.map(foundItem));
  }
  function foundItem({ name, id, outcome, refused, stands = outcome }) {
    const item = document.createElement("li");
    item.className = outcome || "refused";
    const what = document.createElement(id ? "a" : "strong");
    const label = document.createElement("span");
    label.className = "name";
    label.textContent = name;
    what.append(label);
    if (id) Object.assign(what, { href: address(id) }).dataset.open = id;
    item.append(what, `: ${refused || WORDS[outcome]}${stands === outcome ? "" : `, reviewed as ${WORDS[stands]}`}`);
    return item;
  }
  $("queue-stop").addEventListener("click", function () {
    const left = waiting.filter((item) => item !== sending);
    waiting = waiting.filter((item) => item === sending);
    for (const item of left) if (item.together) [item.together.total, item.together.waits] = [item.together.total - 1, item.together.waits - 1];
    if (!sending) $("offline").hidden = true;
    summarise();
  });
  $("queue-unfold").addEventListener("click", () => fold(!$("queue").classList.contains("folded")));
  $("queue-close").addEventListener("click", function () {
    together = null;
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
      if (left.together) left.together.results.push({ name: left.name, id: "", outcome: "", refused: "the server did not answer" });
      if (left.wish === wish) put(pendingPanel({ ...left, word: "SKIPPED", words: "Whether it was judged is not known: look at the list." }), "");
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
  // The image of a request that nobody judged in time was kept: it is judged again, not sent again.
  document.addEventListener("submit", function (event) {
    const button = event.submitter;
    const again = event.target.closest("[data-again]") || (button && button.closest("[data-again]"));
    if (!again) return;
    event.preventDefault();
    const action = button && button.hasAttribute("formaction") ? button.formAction : event.target.action;
    if (waiting.some((item) => item.action === action)) return;
    const item = { name: again.dataset.again, action, follow: true };
    if (sending) waiting.push(item);
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

  sendKept();

  // ---- what is known of the part
  const remembered = ABOUT.filter((name) => name !== "serial_number");
  const part = ABOUT.map((name) => form.elements[name]);
  function tellPart() {
    const words = part.filter((field) => field.value).map((field) => `${field.labels[0].textContent.toLowerCase()} ${field.value}`);
    $("part-words").textContent = words.join(" · ") || "station, lot, numbers";
  }
  for (const field of part) {
    if (!field.value && remembered.includes(field.name)) field.value = kept(field.name);
    field.addEventListener("input", function () {
      if (remembered.includes(field.name)) kept(field.name, field.value);
      tellPart();
    });
    // Scanners of bar codes end with Enter, which is not meant to send anything.
    field.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  }
  tellPart();

  // ---- the camera
  const camera = $("camera");
  const picture = $("camera-picture");
  const which = $("camera-which");
  const devices = navigator.mediaDevices; // only where the page came over https or from this machine
  if (!devices || !devices.getUserMedia) return;
  $("open-camera").hidden = false;
  form.classList.add("has-camera");

  async function look() {
    stop();
    $("camera-failed").hidden = true;
    $("camera-shutter").disabled = true;
    const id = which.value || kept("camera");
    const wanted = { width: { ideal: 3840 }, height: { ideal: 2160 } };
    try {
      const stream = await devices.getUserMedia({ video: id ? { ...wanted, deviceId: id } : { ...wanted, facingMode: "environment" } });
      if (!camera.open) return stream.getTracks().forEach((track) => track.stop());
      picture.srcObject = stream;
      await picture.play();
      $("camera-shutter").disabled = false;
      $("camera-shutter").focus();
      await offer(stream.getVideoTracks()[0].getSettings().deviceId);
    } catch (error) {
      if (!camera.open) return;
      const why = {
        NotAllowedError: "This browser may not use the camera. Allow it beside the address above, then open the camera again.",
        NotFoundError: "There is no camera. Connect one and open this again, or choose a file.",
        NotReadableError: "Another program holds the camera. Close it, then open this again.",
      };
      $("camera-failed").textContent = why[error.name] || `The camera does not answer (${error.name}). Choose a file instead.`;
      $("camera-failed").hidden = false;
    }
  }
  async function offer(current) {
    const found = (await devices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    which.replaceChildren(...found.map((device, index) => new Option(device.label || `Camera ${index + 1}`, device.deviceId)));
    which.value = current;
    $("camera-choice").hidden = found.length < 2;
  }
  function stop() {
    if (picture.srcObject) picture.srcObject.getTracks().forEach((track) => track.stop());
    picture.srcObject = null;
  }
  $("open-camera").addEventListener("click", function () {
    camera.showModal();
    look();
  });
  which.addEventListener("change", function () {
    kept("camera", which.value);
    look();
  });
  camera.addEventListener("close", stop);
  $("camera-close").addEventListener("click", () => camera.close());
  $("camera-shutter").addEventListener("click", function () {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.videoWidth, picture.videoHeight];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    camera.close();
    const name = `camera-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}.jpg`;
    canvas.toBlob((blob) => add([new File([blob], name, { type: "image/jpeg" })]), "image/jpeg", 0.95);
  });
})();
