// Conveniences of the line view. Everything works without them: the form uploads, the page answers.
"use strict";

(function () {
  const form = document.getElementById("upload");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const bar = form.querySelector("progress");

  function send(files) {
    if (!files || !files.length) return;
    const transfer = new DataTransfer();
    transfer.items.add(files[0]);
    input.files = transfer.files;
    form.requestSubmit();
  }

  input.addEventListener("change", function () {
    if (input.files.length) form.requestSubmit();
  });
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
    send(event.dataTransfer.files);
  });
  document.addEventListener("paste", function (event) {
    send(event.clipboardData.files);
  });
  form.addEventListener("htmx:beforeRequest", function () {
    bar.hidden = false;
    bar.removeAttribute("value");
  });
  form.addEventListener("htmx:xhr:progress", function (event) {
    if (event.detail.lengthComputable && event.detail.loaded < event.detail.total) {
      bar.value = event.detail.loaded / event.detail.total;
    } else {
      bar.removeAttribute("value");
    }
  });
  form.addEventListener("htmx:afterRequest", function (event) {
    bar.hidden = true;
    form.reset();
    if (!event.detail.successful) {
      document.getElementById("offline").hidden = false;
    } else {
      document.getElementById("offline").hidden = true;
    }
  });
})();
