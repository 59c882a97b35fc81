// How far an upload is, for forms with `data-upload`. Without scripts the form is sent as forms are.
"use strict";

(function () {
  for (const form of document.querySelectorAll("form[data-upload]")) {
    const bar = form.querySelector("progress");
    form.addEventListener("htmx:beforeRequest", function () {
      bar.hidden = false;
      bar.removeAttribute("value");
    });
    form.addEventListener("htmx:xhr:progress", function (event) {
      const sent = event.detail;
      if (sent.lengthComputable && sent.loaded < sent.total) {
        bar.value = sent.loaded / sent.total;
      } else {
        bar.removeAttribute("value");
      }
    });
    form.addEventListener("htmx:afterRequest", () => (bar.hidden = true));
  }
})();
