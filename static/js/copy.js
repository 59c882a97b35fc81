// "Copy" beside a value: `data-copy` names the field. Without scripts, or without a clipboard, the field is selected.
"use strict";

(function () {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const field = document.getElementById(button.dataset.copy);
    const said = button.parentElement.querySelector("[data-copied]");
    button.hidden = false;
    button.addEventListener("click", async function () {
      field.select();
      try {
        await navigator.clipboard.writeText(field.value); // absent where the page came without TLS
        said.textContent = say("Copied");
      } catch {
        said.textContent = document.execCommand("copy") ? say("Copied") : say("Press Ctrl C to copy");
      }
    });
  }
})();
