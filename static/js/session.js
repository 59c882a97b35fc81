// A session that is over loses nothing: sign-in opens as a dialog over the page, what was sent waits and is sent again.
// Without scripts the sign-in page leads back to the page that was looked at.
"use strict";

(function () {
  const dialog = document.getElementById("sign-in");
  if (!dialog) return;
  const $ = (id) => document.getElementById(id);
  const form = dialog.querySelector("form");
  let user = dialog.dataset.user;
  // What goes on after sign-in, in this order. `what`: in words, of what a person sent; what the page asks has none.
  let waiting = [];
  let isOut = false;
  let declined = false; // "Later": what the page asks by itself opens no dialog again

  // ---- whoever is writing goes on writing: the dialog waits, and a notice says that it does
  const PAUSE = 3000; // milliseconds without a key after which nobody is writing any more
  let isDue = false; // the dialog opens as soon as the field is left
  // `sent`: a person sent something, which is no longer being written; the page asks by itself without.
  const isFresh = () => Date.now() - typing.since() < PAUSE;
  const mustWait = (sent) => (sent ? typing.isInField() && typing.since() > 0 : typing.isInField() || isFresh());
  function openWhenLeft() {
    if (!isDue || dialog.open || typing.isInField()) return;
    // The field may have left the page, and not the person the field.
    if (isFresh()) return void setTimeout(openWhenLeft, PAUSE);
    open();
  }
  document.addEventListener("focusout", () => isDue && setTimeout(openWhenLeft));
  function sayOut() {
    isOut = isDue = true;
    declined = false;
    $("signed-out").hidden = false;
    if (!typing.isInField()) setTimeout(openWhenLeft, PAUSE);
  }

  const headers = { "X-Requested-With": "fetch" };
  async function ask(address, options) {
    const answer = await fetch(address, { credentials: "same-origin", ...options, headers });
    return answer.json();
  }

  // ---- who is signed in by now, and the CSRF token that the page's forms need from then on
  function take(state) {
    for (const place of [document, ...[...document.querySelectorAll("template")].map((template) => template.content)]) {
      for (const input of place.querySelectorAll("input[name=csrfmiddlewaretoken]")) input.value = state.csrf;
    }
    const sent = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
    document.body.setAttribute("hx-headers", JSON.stringify({ ...sent, "X-CSRFToken": state.csrf }));
    if (state.user && state.user !== user) {
      $("signed-in-as").textContent = say("Signed in as {}, before: {}. What is sent from now on is recorded as {}'s.", state.user, user, state.user);
      $("signed-in-as").hidden = false;
      for (const name of document.querySelectorAll(".who strong")) name.textContent = state.user;
      user = state.user;
    }
  }
  // What somebody else sent is not sent in the name of who signed in now, unless that person says so.
  const ofOthers = () => waiting.filter((one) => one.what && one.by !== user);
  function goOn() {
    isOut = declined = isDue = false;
    $("signed-out").hidden = true;
    const others = ofOthers();
    if (others.length) return askWhetherToSend(others);
    if (dialog.open) dialog.close();
    continueWaiting();
  }
  function askWhetherToSend(others) {
    const names = [...new Set(others.map((one) => one.by))].join(", ");
    $("send-waiting-words").textContent = say("You are signed in as {}. This was sent by {} and waits:", user, names);
    $("send-waiting").textContent = say("Send it as {}", user);
    $("send-waiting-list").replaceChildren(...others.map((one) => listItem(one.what)));
    form.hidden = true;
    $("send-waiting-ask").hidden = false;
    if (!dialog.open) dialog.showModal();
    $("send-waiting-not").focus();
  }
  const listItem = (textContent) => Object.assign(document.createElement("li"), { textContent });
  $("send-waiting").addEventListener("click", function () {
    for (const one of waiting) one.by = user;
    dialog.close();
  });
  $("send-waiting-not").addEventListener("click", () => dialog.close());
  // Asking has ended, by a button or by Escape: what is still somebody else's is not sent, and shown to be copied.
  function endAsking() {
    $("send-waiting-ask").hidden = true;
    form.hidden = false;
    const others = ofOthers();
    waiting = waiting.filter((one) => !others.includes(one));
    for (const one of others) {
      notSent(one.what, say("Sent by {}, who is signed out.", one.by));
      one.drop();
    }
    continueWaiting();
  }
  let continuing = false;
  async function continueWaiting() {
    if (continuing) return;
    continuing = true;
    while (waiting.length && !isOut) await waiting.shift().send();
    continuing = false;
    if (!isOut) document.body.dispatchEvent(new CustomEvent("signed-in"));
  }
  function notSent(what, why) {
    $("not-sent-list").append(listItem(`${what}. ${why}`));
    $("not-sent").hidden = false;
  }
  $("not-sent-close").addEventListener("click", function () {
    $("not-sent").hidden = true;
    $("not-sent-list").replaceChildren();
  });
  let opening = false;
  // `refused`: a request of somebody who is signed in was answered like one of somebody who is not. `asked`: by a person,
  // with the button that does it. `sent`: by sending something.
  async function open({ refused = false, asked = false, sent = false } = {}) {
    if (dialog.open || opening) return;
    opening = true;
    try {
      const state = await ask(dialog.dataset.session);
      take(state);
      // In another tab, meanwhile. What is to be asked then is a dialog, too.
      if (state.user && !refused && !(ofOthers().length && !asked && mustWait(sent))) return goOn();
    } catch {
      // The server does not answer: signing in says so.
    } finally {
      opening = false;
    }
    if (!asked && mustWait(sent)) return sayOut();
    isDue = false;
    $("signed-out").hidden = true;
    $("sign-in-failed").hidden = true;
    $("sign-in_password").value = "";
    $("sign-in-waits").hidden = !waiting.length;
    for (const other of document.querySelectorAll("dialog[open]")) other.close();
    isOut = true;
    dialog.showModal();
    $("sign-in_password").focus();
  }
  // Resolved once somebody is signed in; until then what waits for it stays where it is. True if it may go on: false for
  // what one person sent (`what` says it in words) and another one, signed in then, did not want to send.
  function signedIn(what = "") {
    return new Promise(function (resolve) {
      waiting.push({ what, by: user, send: () => resolve(true), drop: () => resolve(false) });
      open({ sent: true });
    });
  }

  // Signed in with a provider, in another tab.
  window.addEventListener("focus", async function () {
    if (!dialog.open || form.hidden) return;
    try {
      const state = await ask(dialog.dataset.session);
      if (!state.user) return;
      take(state);
      goOn();
    } catch {
      // As above.
    }
  });

  form.addEventListener("submit", async function (event) {
    event.preventDefault();
    const button = form.querySelector("button.primary");
    button.disabled = true;
    try {
      const state = await ask(form.action, { method: "POST", body: new FormData(form) });
      if (state.user) {
        take(state);
        goOn();
      } else {
        fail(state.errors.join(" "));
      }
    } catch {
      fail(say("The server did not answer. Check the connection, then try again."));
    } finally {
      button.disabled = false;
      $("sign-in_password").value = "";
    }
  });
  function fail(why) {
    $("sign-in-failed").textContent = why;
    $("sign-in-failed").hidden = false;
    $("sign-in_password").focus();
  }
  $("sign-in-later").addEventListener("click", () => dialog.close());
  $("sign-in-now").addEventListener("click", () => open({ asked: true }));
  dialog.addEventListener("close", function () {
    $("sign-in_password").value = "";
    if (!$("send-waiting-ask").hidden) return endAsking();
    declined = isOut;
    isDue = false;
    $("signed-out").hidden = !isOut;
  });
  window.addEventListener("beforeunload", function (event) {
    if (waiting.length) event.preventDefault();
  });

  // ---- htmx: an answer that is none is not swapped in; what a person did is done again after sign-in, as it was made:
  // with all its parameters, whatever the page shows by then.
  const over = (xhr) => Boolean(xhr.getResponseHeader("X-Sign-In"));
  const ACTS = ["submit", "click", "change", "input"];
  const repeated = new WeakMap(); // elements whose request is being made again, and what that is
  document.body.addEventListener("htmx:beforeOnLoad", function (event) {
    const { xhr, requestConfig } = event.detail;
    const again = repeated.get(requestConfig.elt);
    repeated.delete(requestConfig.elt);
    if (!over(xhr)) return;
    event.preventDefault();
    const act = requestConfig.triggeringEvent;
    if (again) refusedAgain(again);
    else if (act && ACTS.includes(act.type)) hold(requestConfig);
    else if (!declined && !isDue) open(); // the page asks by itself, and will again
  });
  const isRead = (request) => request.verb === "get";
  function hold(request) {
    const { elt, formData } = request;
    // A newer one takes the place of one that asks the same, or was decided on the same state.
    const replaces = isRead(request) || formData.has("expected_reviews");
    if (replaces) waiting = waiting.filter((one) => !(one.request && one.request.elt === elt && one.request.verb === request.verb));
    const one = { request, what: isRead(request) ? "" : inWords(request), by: user, drop: () => {} };
    one.send = () => again(one);
    waiting.push(one);
    open({ sent: true });
  }
  const UNSAID = ["csrfmiddlewaretoken", "expected_reviews", "next", "inspection", "review", "signature_username", "signature_password", "signature_meaning"];
  function inWords({ elt, formData }) {
    const about = elt.closest("[data-name]");
    const name = about ? about.dataset.name : elt.getAttribute("aria-label") || document.title;
    const said = [...formData].filter(([field, value]) => value && typeof value === "string" && !UNSAID.includes(field));
    return [name, ...said.map(([field, value]) => `${field.replaceAll("_", " ")} ${value}`)].join(", ");
  }
  function refusedAgain(one) {
    waiting.unshift(one);
    isOut = true; // nothing after it goes on before it
    open({ refused: true, sent: true });
  }
  async function again(one) {
    const { elt, verb, path, formData, triggeringEvent } = one.request;
    if (!elt.isConnected) return isRead(one.request) ? undefined : sendDetached(one);
    const values = new FormData();
    for (const [field, value] of formData) if (field !== "csrfmiddlewaretoken") values.append(field, value);
    repeated.set(elt, one);
    await htmx.ajax(verb, path, { source: elt, event: triggeringEvent, values });
  }
  // What it was sent from has left the page: there is no place for the answer, only for what it says.
  async function sendDetached(one) {
    const { verb, path, formData, headers } = one.request;
    const body = [...formData.values()].some((value) => value instanceof File) ? new FormData() : new URLSearchParams();
    for (const [field, value] of formData) if (field !== "csrfmiddlewaretoken") body.append(field, value);
    const token = JSON.parse(document.body.getAttribute("hx-headers") || "{}");
    const sent = { ...headers, ...token };
    delete sent["Content-Type"]; // the browser names it with the body
    try {
      const answer = await fetch(path, { method: verb.toUpperCase(), credentials: "same-origin", headers: sent, body });
      if (answer.headers.has("X-Sign-In")) return refusedAgain(one);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const error = page.querySelector(".notice.error p");
      if (!answer.ok || error) return notSent(one.what, error ? error.textContent.trim() : say("The server refused it ({}).", answer.status));
      for (const [name, detail] of Object.entries(JSON.parse(answer.headers.get("HX-Trigger") || "{}"))) {
        document.body.dispatchEvent(new CustomEvent(name, { detail }));
      }
      document.body.dispatchEvent(new CustomEvent("sent-later", { detail: { path, formData } }));
    } catch {
      notSent(one.what, say("The server did not answer: look whether it was recorded."));
    }
  }
  function resubmit(sent, submitter) {
    sent.requestSubmit(submitter?.isConnected ? submitter : undefined);
  }

  // ---- forms that the browser sends itself: first it is made sure that somebody is signed in
  const checked = new WeakSet();
  document.addEventListener("submit", async function (event) {
    const sent = event.target;
    const method = (event.submitter && event.submitter.getAttribute("formmethod")) || sent.method;
    if (event.defaultPrevented || method !== "post" || sent.closest(".who")) return;
    if (checked.delete(sent)) return;
    event.preventDefault();
    if (sent.dataset.asking) return;
    sent.dataset.asking = "yes";
    try {
      const state = await ask(dialog.dataset.session);
      if (state.user) take(state);
      else if (!(await signedIn(inWords({ elt: sent, formData: new FormData(sent, event.submitter) })))) return delete sent.dataset.asking;
    } catch {
      // The browser says that the server does not answer.
    }
    delete sent.dataset.asking;
    checked.add(sent);
    resubmit(sent, event.submitter);
  });

  window.session = { over, signedIn, hold };
})();
