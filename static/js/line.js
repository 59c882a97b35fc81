// Conveniences of the line: many images one after another, paste, camera, keys, fields that are remembered.
// Everything works without them: the form uploads, links open, forms review, the page answers.
"use strict";

(function () {
  const $ = (id) => document.getElementById(id);
  const live = $("live");

  // ---- what the page asks again and again. Nobody looks: it waits. Signed out meanwhile: the page says so.
  document.body.addEventListener("htmx:beforeRequest", function (event) {
    const asks = event.detail.elt;
    if (document.hidden && (asks === live || asks.id === "today")) event.preventDefault();
  });
  document.addEventListener("visibilitychange", function () {
    if (document.hidden || !live) return;
    htmx.trigger(live, "wake");
    if ($("today")) htmx.trigger($("today"), "wake");
  });
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    const { xhr, requestConfig } = event.detail;
    if (!xhr.responseURL || new URL(xhr.responseURL).pathname === new URL(requestConfig.path, location).pathname) return;
    event.detail.shouldSwap = false;
    location.reload();
  });

  // ---- keys
  const keys = $("keys");
  $("show-keys").hidden = false;
  $("show-keys").addEventListener("click", () => keys.showModal());

  function step(by) {
    const links = [...document.querySelectorAll("#latest .strip-list a")];
    const open = new URLSearchParams(location.search).get("inspection");
    const at = links.findIndex((link) => link.id === "s-" + open);
    const next = links[at < 0 ? 0 : at + by];
    if (!next) return;
    document.activeElement.blur();
    next.scrollIntoView({ block: "nearest" });
    next.click(); // that of a list just swapped in, which htmx does not know yet, opens the whole page
  }
  const press = (id) => $(id) && !$(id).hidden && !$(id).disabled && $(id).click();
  const acts = {
    j: () => step(1),
    k: () => step(-1),
    g: () => press("say-good"),
    d: () => press("say-defect"),
    c: () => press("open-camera"),
    "?": () => keys.showModal(),
  };
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox], [type=file]), select, textarea")) return;
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
  // What was opened with mouse or Enter has the focus: the keys of the viewer are its own then.
  document.body.addEventListener("htmx:afterSwap", function (event) {
    const from = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (from && from.closest("#latest") && document.activeElement === from) $("result").focus({ preventScroll: true });
  });

  const form = $("upload");
  if (!form) return;
  const input = $("image");
  const photo = $("photo");
  const bar = form.querySelector("progress");
  input.multiple = true;

  // ---- the queue: one image after another; what was not judged is listed with its reason
  const most = Number(form.dataset.most);
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  let waiting = []; // the first of them is being sent, or is to be tried again
  let total = 0, done = 0, failed = 0, sending = false, refusal = null;

  function add(files) {
    const chosen = [...files];
    if (!chosen.length) return;
    $("too-many").hidden = true;
    if (waiting.length + chosen.length > most) {
      $("too-many-count").textContent = waiting.length + chosen.length;
      $("too-many").hidden = false;
      input.value = photo.value = "";
      return;
    }
    if (!waiting.length) {
      total = done = failed = 0;
      $("queue-failed").replaceChildren();
    }
    for (const file of chosen) waiting.push({ file, key: random() });
    total += chosen.length;
    tell();
    if ($("offline").hidden) send();
  }
  function send() {
    if (sending || !waiting.length) return;
    sending = true;
    refusal = null;
    const transfer = new DataTransfer();
    transfer.items.add(waiting[0].file);
    input.files = transfer.files;
    photo.value = "";
    $("key").value = waiting[0].key;
    form.requestSubmit();
  }
  function tell() {
    $("queue").hidden = total < 2;
    $("queue-stop").hidden = !waiting.length;
    $("queue-bar").hidden = !waiting.length;
    $("queue-bar").value = done / total;
    const words = waiting.length ? `${done} of ${total} images` : `${done} images: done`;
    $("queue-words").textContent = words + (failed ? `, ${failed} not judged` : "");
  }
  function list(name, why) {
    const item = document.createElement("li");
    const strong = document.createElement("strong");
    strong.textContent = name;
    item.append(strong, ": ", why);
    $("queue-failed").append(item);
  }
  function rest() {
    input.value = photo.value = $("key").value = "";
    bar.hidden = true;
    if (!waiting.length) form.elements.serial_number.value = "";
    tellPart();
    tell();
  }
  $("queue-stop").addEventListener("click", function () {
    const left = waiting.splice(sending ? 1 : 0);
    total -= left.length;
    if (!sending) $("offline").hidden = true;
    rest();
  });
  document.body.addEventListener("refused", function (event) {
    refusal = event.detail;
  });
  // Of many, the last verdict stays in sight: what was not judged is in the list.
  document.body.addEventListener("htmx:beforeSwap", function (event) {
    if (event.detail.requestConfig.elt === form && refusal && total > 1) event.detail.shouldSwap = false;
  });
  form.addEventListener("htmx:beforeRequest", function (event) {
    if (event.detail.elt !== form) return;
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
    if (event.detail.elt !== form) return;
    sending = false;
    if (!event.detail.successful) {
      bar.hidden = true;
      const [first] = waiting;
      $("offline-what").textContent = first ? `${first.file.name} may not have been judged.` : "";
      $("offline").hidden = false;
      return;
    }
    $("offline").hidden = true;
    const [sent] = waiting.splice(0, 1);
    if (sent) done += 1;
    if (sent && refusal) {
      failed += 1;
      list(sent.file.name, refusal.detail);
    }
    rest();
    send();
  });
  $("offline-again").addEventListener("click", function () {
    $("offline").hidden = true;
    send();
  });
  $("offline-drop").addEventListener("click", function () {
    $("offline").hidden = true;
    const [left] = waiting.splice(0, 1);
    if (left) {
      done += 1;
      failed += 1;
      list(left.file.name, "the server did not answer.");
    }
    rest();
    send();
  });
  window.addEventListener("beforeunload", function (event) {
    if (waiting.length > 1) event.preventDefault();
  });

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

  // ---- what is known of the part
  const remembered = ["station", "lot", "part_number"];
  const part = [...remembered, "serial_number"].map((name) => form.elements[name]);
  // A browser may keep nothing: then nothing is remembered.
  function kept(name, value) {
    try {
      if (value === undefined) return localStorage.getItem("line." + name) || "";
      localStorage.setItem("line." + name, value);
    } catch {
      return "";
    }
  }
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
