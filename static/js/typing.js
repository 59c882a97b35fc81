// Who is writing, for whatever would take the keys or the focus away meanwhile: session.js asks it before its dialog opens.
// Where a field leaves the page while somebody writes in it, the keys that follow are letters and no shortcuts: they rest
// until something is clicked, the focus is moved, or no key was pressed for a while.
"use strict";

(function () {
  const TEXT = "textarea, [contenteditable], input:not([type=checkbox], [type=radio], [type=range], [type=file], [type=color], [type=button], [type=submit], [type=hidden])";
  const REST = 1500; // milliseconds
  const isText = (element) => element instanceof Element && element.matches(TEXT);
  let typed = 0; // when something was typed into a field last; 0 once it was sent, or something else was done
  let field = null; // the one that has the focus, or had it when it left the page
  let lost = 0; // when that was; then: when the last key after it was pressed

  for (const name of ["input", "keydown"]) {
    document.addEventListener(name, function (event) {
      if (["Enter", "Tab", "Escape"].includes(event.key)) typed = 0;
      else if (isText(event.target) && !event.target.closest("dialog")) typed = Date.now();
    }, true);
  }
  function goOn() {
    typed = lost = 0;
  }
  document.addEventListener("submit", () => (field = null), true); // sent, and the field may go
  for (const name of ["click", "submit", "pointerdown"]) document.addEventListener(name, (event) => event.isTrusted && goOn(), true);

  document.addEventListener("focusin", function (event) {
    field = isText(event.target) ? event.target : field && !field.isConnected ? field : null;
    if (isText(event.target)) lost = 0;
  });
  document.addEventListener("focusout", function (event) {
    setTimeout(() => event.target === field && field.isConnected && document.activeElement !== field && (field = null));
  });
  new MutationObserver(function () {
    if (!field || field.isConnected) return;
    field = null;
    if (document.activeElement === document.body || !isText(document.activeElement)) lost = Date.now();
  }).observe(document.documentElement, { childList: true, subtree: true });

  window.addEventListener("keydown", function (event) {
    if (!lost) return;
    if (Date.now() - lost > REST || event.key === "Tab" || event.key.startsWith("Arrow")) return void (lost = 0);
    if (event.key.length > 1 || event.ctrlKey || event.metaKey || event.altKey || isText(event.target)) return;
    lost = Date.now();
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  window.typing = {
    isText,
    since: () => typed,
    isInField: () => isText(document.activeElement) && !document.activeElement.closest("dialog"),
  };
})();
