// Electronic signatures: a form whose act has to be signed asks for the password in a dialog before it is sent.
// Without scripts the same fields stand in the form.
"use strict";

(function () {
  const FORGET = 60_000; // milliseconds after which a password that was not sent is forgotten
  let waiting = null; // the form and button whose act is being signed
  const fieldsOf = (dialog) => [...dialog.querySelectorAll("input, select")];
  const passwordOf = (dialog) => dialog.querySelector("[name=signature_password]");

  function forget(dialog) {
    if (passwordOf(dialog)) passwordOf(dialog).value = "";
  }
  function mustSign(dialog, submitter) {
    const act = submitter && submitter.dataset.act;
    if (act && !dialog.dataset.signature.split(" ").includes(act)) return false;
    return !(passwordOf(dialog) && passwordOf(dialog).value);
  }
  // Before htmx and the check of the session see it.
  document.addEventListener(
    "submit",
    function (event) {
      const dialog = event.target.querySelector("dialog[data-signature]");
      if (!dialog || !mustSign(dialog, event.submitter)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      waiting = { form: event.target, button: event.submitter };
      const label = event.submitter ? [...event.submitter.childNodes].filter((node) => node.nodeName !== "KBD").map((node) => node.textContent).join("").trim() : "";
      dialog.querySelector("[data-signing]").textContent = label ? `: ${label}` : "";
      dialog.showModal();
      (fieldsOf(dialog)[0] || dialog.querySelector("[data-cancel]")).focus();
    },
    true,
  );
  function sign(dialog) {
    const fields = fieldsOf(dialog);
    for (const field of fields) field.required = true; // only while it is open: what cannot be seen cannot be asked for
    const isWhole = fields.every((field) => field.reportValidity());
    for (const field of fields) field.required = false;
    if (!isWhole || !waiting) return;
    const { form, button } = waiting;
    waiting = null;
    dialog.close();
    setTimeout(() => forget(dialog), FORGET);
    form.requestSubmit(button && button.isConnected ? button : undefined);
  }
  document.addEventListener("click", function (event) {
    const dialog = event.target.closest("dialog[data-signature]");
    if (!dialog) return;
    if (event.target.closest("[data-sign]")) sign(dialog);
    if (event.target.closest("[data-cancel]")) dialog.close();
  });
  // Enter signs, instead of pressing the first button of the form around the dialog.
  document.addEventListener("keydown", function (event) {
    const dialog = event.target.closest("dialog[data-signature]");
    if (!dialog || !dialog.open || event.key !== "Enter" || event.target.matches("button")) return;
    event.preventDefault();
    if (!event.isComposing && !event.repeat) sign(dialog);
  });
  document.addEventListener(
    "close",
    function (event) {
      if (!event.target.matches("dialog[data-signature]") || !waiting) return;
      waiting = null;
      forget(event.target);
    },
    true,
  );
  // Sent: the form may stay on the page.
  document.body.addEventListener("htmx:beforeSend", function (event) {
    const dialog = event.target.querySelector && event.target.querySelector("dialog[data-signature]");
    if (dialog) forget(dialog);
  });
})();
