// A session that is over loses nothing: sign-in opens as a dialog over the page, what was sent waits and is sent again.
// Without scripts the sign-in page leads back to the page that was looked at.
"use strict";

(function () {
  const dialog = document.getElementById("sign-in");
  if (!dialog) return;
  const $ = (id) => document.getElementById(id);
  const form = dialog.querySelector("form");
  let user = dialog.dataset.user;
  let waiting = []; // what goes on after sign-in
  let isOut = false;
  let declined = false; // "Later": what the page asks by itself opens no dialog again

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
      $("signed-in-as").textContent = `Signed in as ${state.user}, before: ${user}. What is sent from now on is recorded as ${state.user}'s.`;
      $("signed-in-as").hidden = false;
      for (const name of document.querySelectorAll(".who strong")) name.textContent = state.user;
      user = state.user;
    }
  }
  function goOn() {
    isOut = declined = false;
    $("signed-out").hidden = true;
    if (dialog.open) dialog.close();
    for (const next of waiting.splice(0)) next();
    document.body.dispatchEvent(new CustomEvent("signed-in"));
  }
  let opening = false;
  async function open() {
    if (dialog.open || opening) return;
    opening = true;
    try {
      const state = await ask(dialog.dataset.session);
      take(state);
      if (state.user) return goOn(); // in another tab, meanwhile
    } catch {
      // The server does not answer: signing in says so.
    } finally {
      opening = false;
    }
    $("signed-out").hidden = true;
    $("sign-in-failed").hidden = true;
    $("sign-in-waits").hidden = !waiting.length;
    for (const other of document.querySelectorAll("dialog[open]")) other.close();
    isOut = true;
    dialog.showModal();
    $("sign-in-password").focus();
  }
  // Resolved once somebody is signed in; until then what waits for it stays where it is.
  function signedIn() {
    return new Promise(function (resolve) {
      waiting.push(resolve);
      open();
    });
  }

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
      fail("The server did not answer. Check the connection, then try again.");
    } finally {
      button.disabled = false;
      $("sign-in-password").value = "";
    }
  });
  function fail(why) {
    $("sign-in-failed").textContent = why;
    $("sign-in-failed").hidden = false;
    $("sign-in-password").focus();
  }
  $("sign-in-later").addEventListener("click", () => dialog.close());
  $("sign-in-now").addEventListener("click", open);
  dialog.addEventListener("close", function () {
    declined = isOut;
    $("signed-out").hidden = !isOut;
  });
  window.addEventListener("beforeunload", function (event) {
    if (waiting.length) event.preventDefault();
  });

  // ---- htmx: an answer that is none is not swapped in; what a person did is done again after sign-in
  const over = (xhr) => Boolean(xhr.getResponseHeader("X-Sign-In"));
  const ACTS = ["submit", "click", "change", "input"];
  const repeated = new WeakSet();
  document.body.addEventListener("htmx:beforeOnLoad", function (event) {
    const { xhr, requestConfig } = event.detail;
    const element = requestConfig.elt;
    if (!over(xhr)) return repeated.delete(element);
    if (repeated.delete(element)) return; // no cookies here: htmx says that it failed
    event.preventDefault();
    const act = requestConfig.triggeringEvent;
    if (act && ACTS.includes(act.type)) signedIn().then(() => again(element, act));
    else if (!declined) open(); // the page asks by itself, and will again
  });
  function again(element, act) {
    if (!element.isConnected) return;
    repeated.add(element);
    if (act.type === "submit") resubmit(element, act.submitter);
    else htmx.trigger(element, act.type);
  }
  function resubmit(sent, submitter) {
    sent.requestSubmit(submitter && submitter.isConnected ? submitter : undefined);
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
      else await signedIn();
    } catch {
      // The browser says that the server does not answer.
    }
    delete sent.dataset.asking;
    checked.add(sent);
    resubmit(sent, event.submitter);
  });

  window.session = { over, signedIn };
})();
