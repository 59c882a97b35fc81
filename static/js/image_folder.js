// Images for a data set: a folder can be chosen or dropped, and what was chosen is sent for its preview at once.
"use strict";

(function () {
  const form = document.getElementById("good-images");
  if (!form) {
    return;
  }
  const input = form.querySelector("#id_images");
  const folder = form.querySelector("#id_folder");
  const paths = form.querySelector("#paths");
  const most = Number(form.dataset.most);
  folder.closest("[data-folder]").hidden = !("webkitdirectory" in folder);

  // Every file with the path that it had, in the form's own field.
  function choose(found) {
    const transfer = new DataTransfer();
    for (const [file] of found.slice(0, most + 1)) {
      transfer.items.add(file);
    }
    input.files = transfer.files;
    paths.value = JSON.stringify(found.slice(0, most + 1).map(([, path]) => path));
    send();
  }

  function send() {
    const shown = form.querySelector("#images-refused");
    shown.replaceChildren();
    if (input.files.length > most) {
      const words = document.createElement("p");
      words.className = "notice error";
      words.setAttribute("role", "alert");
      words.textContent = say("More than {} files. Nothing was sent. Send them as an archive below.", most);
      shown.append(words);
    } else if (input.files.length) {
      form.requestSubmit();
    }
  }

  input.addEventListener("change", function () {
    paths.value = "";
  });
  folder.addEventListener("change", function () {
    choose([...folder.files].map((file) => [file, file.webkitRelativePath]));
  });

  async function filesIn(entry, before) {
    const path = before + entry.name;
    if (entry.isFile) {
      return [[await new Promise((done, failed) => entry.file(done, failed)), path]];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length || found.length > most) {
        return found;
      }
      for (const inner of some) {
        found.push(...(await filesIn(inner, path + "/")));
      }
    }
  }

  form.addEventListener("dragover", function (event) {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", async function (event) {
    event.preventDefault();
    form.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const loose = [...event.dataTransfer.files].map((file) => [file, file.name]);
    choose(entries.length ? (await Promise.all(entries.map((entry) => filesIn(entry, "")))).flat() : loose);
  });
})();
