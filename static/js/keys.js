// Keyboard shortcuts: a page adds its own with `shortcuts.add`; "?" and the button show the list (partials/keys.html).
"use strict";

(function () {
  const list = document.getElementById("keys");
  const opener = document.getElementById("show-keys");
  const isPlain = (event) => !(event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"));
  // Whether a key that was pressed may be a shortcut: nobody is typing, and no dialog is open.
  const isFree = (event) => isPlain(event) && !typing.isText(event.target) && !event.target.matches("select");

  // `acts`: key to function; where that gives false the key meant nothing. `repeats`: keys that act on while they are held.
  function add(acts, { repeats = "" } = {}) {
    document.addEventListener("keydown", function (event) {
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (!Object.hasOwn(acts, key) || !isFree(event)) return;
      if ((event.repeat && !repeats.includes(key)) || acts[key]() !== false) event.preventDefault();
    });
  }

  // The field of the defect's type, where D leads: Enter reviews the part as defective, Escape leaves the field.
  function addDefectType({ send = () => press("say-defect"), leave = (field) => field.blur() } = {}) {
    document.addEventListener("keydown", function (event) {
      if (event.target.id !== "defect_type" || !isPlain(event) || event.isComposing) return;
      if (event.key === "Escape") leave(event.target);
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) send();
    });
  }
  function press(id) {
    const button = document.getElementById(id);
    if (button && !button.hidden && !button.disabled) button.click();
  }

  window.shortcuts = { isFree, add, addDefectType, press };
  if (!list) return;
  opener.hidden = false;
  opener.addEventListener("click", () => list.showModal());
  add({ "?": () => list.showModal() });
})();
