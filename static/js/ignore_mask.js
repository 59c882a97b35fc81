// Painting what is not judged on a mean good image: brush, eraser, polygon. What is painted goes with the form as a
// black and white PNG. All places are in pixels of the picture.
"use strict";

(function () {
  const editor = document.querySelector("[data-mask-editor]");
  if (!editor) return;
  const MAX_UNDO = 30;
  const MAX_ZOOM = 16, ZOOM_STEP = 1.4;
  const MAX_SHARE = 0.99; // the server refuses more: nothing would be judged
  const COLOUR = "255, 61, 139";

  const picture = editor.querySelector("[data-picture]");
  const canvas = editor.querySelector("canvas");
  const view = canvas.getContext("2d");
  const frame = editor.querySelector("[data-frame]");
  const share = editor.querySelector("[data-share]");
  const size = editor.querySelector("[data-size]");
  const opacity = editor.querySelector("[data-opacity]");
  const save = editor.querySelector("[data-save]");
  const field = editor.querySelector("input[name=mask]");
  const hint = editor.querySelector("[data-hint]");
  const mask = document.createElement("canvas"); // white where nothing is judged, transparent elsewhere
  const paint = mask.getContext("2d", { willReadFrequently: true });
  const pointers = new Map();

  let tool = "brush", zoom = 1, fit = 1;
  let corners = []; // of a polygon that is not closed yet
  let cursor = null, last = null, pinch = null;
  let before = null; // the mask before the stroke that is being painted
  let undone = [], redone = [];

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const snapshot = () => paint.getImageData(0, 0, mask.width, mask.height);

  // ---- what is seen
  function draw() {
    const scale = canvas.width / mask.width;
    view.clearRect(0, 0, canvas.width, canvas.height);
    view.imageSmoothingEnabled = scale < 3;
    view.drawImage(picture, 0, 0, canvas.width, canvas.height);
    const layer = document.createElement("canvas");
    [layer.width, layer.height] = [canvas.width, canvas.height];
    const tint = layer.getContext("2d");
    tint.imageSmoothingEnabled = false;
    tint.drawImage(mask, 0, 0, layer.width, layer.height);
    tint.globalCompositeOperation = "source-in";
    tint.fillStyle = `rgb(${COLOUR})`;
    tint.fillRect(0, 0, layer.width, layer.height);
    view.globalAlpha = opacity.value / 100;
    view.drawImage(layer, 0, 0);
    view.globalAlpha = 1;
    if (corners.length) {
      view.beginPath();
      for (const [x, y] of corners) view.lineTo(x * scale, y * scale);
      if (cursor) view.lineTo(cursor[0] * scale, cursor[1] * scale);
      outline();
      for (const [x, y] of corners) dot(x * scale, y * scale, 4);
    } else if (cursor && tool !== "polygon") {
      view.beginPath();
      view.arc(cursor[0] * scale, cursor[1] * scale, (size.value / 2) * scale, 0, 2 * Math.PI);
      outline();
    }
    if (cursor) dot(cursor[0] * scale, cursor[1] * scale, 2);
  }
  function outline() {
    for (const [style, width] of [["rgba(0, 0, 0, 0.8)", 3.5], ["#fff", 1.5]]) {
      view.strokeStyle = style;
      view.lineWidth = width;
      view.stroke();
    }
  }
  function dot(x, y, radius) {
    view.beginPath();
    view.arc(x, y, radius, 0, 2 * Math.PI);
    view.fillStyle = "#fff";
    view.fill();
    view.strokeStyle = "rgba(0, 0, 0, 0.8)";
    view.lineWidth = 1;
    view.stroke();
  }

  function ignoredShare() {
    const { data } = snapshot();
    let n = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 127) n += 1;
    return n / (mask.width * mask.height);
  }
  function tell() {
    const part = ignoredShare();
    const text = say("{} % of the image is ignored", (100 * part).toFixed(part < 0.1 ? 1 : 0));
    share.textContent = part === 0 ? say("Nothing is ignored yet") : part > MAX_SHARE ? say("{}: nothing would be judged", text) : text;
    save.disabled = part === 0 || part > MAX_SHARE;
    editor.querySelector("[data-undo]").disabled = !undone.length && !corners.length;
    editor.querySelector("[data-redo]").disabled = !redone.length;
    editor.querySelector("[data-close]").hidden = tool !== "polygon";
    editor.querySelector("[data-close]").disabled = corners.length < 3;
    hint.textContent = {
      brush: say("Paint what is not to be judged."),
      eraser: say("Paint away what is to be judged after all."),
      polygon: say("Set the corners one by one; Enter, a double click or the first corner closes the polygon."),
    }[tool];
    draw();
  }

  // ---- what is changed
  function change(act) {
    const was = snapshot();
    act();
    sharpen();
    undone.push(was);
    if (undone.length > MAX_UNDO) undone.shift();
    redone = [];
    tell();
  }
  // A pixel is ignored or not: the canvas softens edges.
  function sharpen() {
    const image = snapshot();
    const { data } = image;
    for (let i = 0; i < data.length; i += 4) {
      const on = data[i + 3] > 127 ? 255 : 0;
      data[i] = data[i + 1] = data[i + 2] = data[i + 3] = on;
    }
    paint.putImageData(image, 0, 0);
  }
  function stroke(from, to) {
    paint.globalCompositeOperation = tool === "eraser" ? "destination-out" : "source-over";
    paint.strokeStyle = "#fff";
    paint.lineCap = paint.lineJoin = "round";
    paint.lineWidth = Number(size.value);
    paint.beginPath();
    paint.moveTo(...from);
    paint.lineTo(to[0] + 1e-3, to[1]);
    paint.stroke();
    paint.globalCompositeOperation = "source-over";
  }
  function addCorner(place) {
    const near = corners.length > 2 && Math.hypot(place[0] - corners[0][0], place[1] - corners[0][1]) * fit * zoom < 10;
    if (near) closePolygon();
    else corners.push(place);
    tell();
  }
  function closePolygon() {
    const shape = corners;
    corners = [];
    if (shape.length < 3) return tell();
    change(function () {
      paint.fillStyle = "#fff";
      paint.beginPath();
      for (const corner of shape) paint.lineTo(...corner);
      paint.fill();
    });
  }
  function undo() {
    if (corners.length) corners.pop();
    else if (undone.length) {
      redone.push(snapshot());
      paint.putImageData(undone.pop(), 0, 0);
    }
    tell();
  }
  function redo() {
    if (redone.length) {
      undone.push(snapshot());
      paint.putImageData(redone.pop(), 0, 0);
    }
    tell();
  }
  const clear = () => change(() => paint.clearRect(0, 0, mask.width, mask.height));
  const invert = () =>
    change(function () {
      const image = snapshot();
      const { data } = image;
      for (let i = 0; i < data.length; i += 4) data.fill(data[i + 3] > 127 ? 0 : 255, i, i + 4);
      paint.putImageData(image, 0, 0);
    });
  function choose(name) {
    tool = name;
    corners = [];
    for (const button of editor.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", button.dataset.tool === name);
    }
    tell();
  }
  function resize(by) {
    size.value = clamp(Math.round(size.value * by) + Math.sign(by - 1), Number(size.min), Number(size.max));
    draw();
  }

  // ---- zoom: the frame scrolls
  function layOut() {
    fit = Math.min(frame.clientWidth / mask.width, Math.max(240, window.innerHeight * 0.7) / mask.height);
    const scale = fit * zoom;
    canvas.style.width = `${Math.floor(mask.width * scale)}px`;
    canvas.style.height = `${Math.floor(mask.height * scale)}px`;
    const dense = Math.min(window.devicePixelRatio || 1, 4096 / (Math.max(mask.width, mask.height) * scale));
    canvas.width = Math.max(1, Math.round(mask.width * scale * dense));
    canvas.height = Math.max(1, Math.round(mask.height * scale * dense));
    draw();
  }
  function zoomTo(next, place) {
    const [x, y] = place || [
      (frame.scrollLeft + frame.clientWidth / 2) / (fit * zoom),
      (frame.scrollTop + frame.clientHeight / 2) / (fit * zoom),
    ];
    const dx = x * fit * zoom - frame.scrollLeft, dy = y * fit * zoom - frame.scrollTop;
    zoom = clamp(next, 1, MAX_ZOOM);
    layOut();
    frame.scrollTo(x * fit * zoom - dx, y * fit * zoom - dy);
  }

  // ---- mouse, pen and fingers; two fingers zoom and move
  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * mask.width, ((event.clientY - box.top) / box.height) * mask.height];
  }
  function middle() {
    const [a, b] = [...pointers.values()];
    return { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2, far: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1 };
  }
  canvas.addEventListener("pointerdown", function (event) {
    if (event.button) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    event.preventDefault();
    if (pointers.size === 2) {
      if (before) paint.putImageData(before, 0, 0); // a stroke that the second finger ends was none
      before = last = null;
      pinch = middle();
      return tell();
    }
    if (pointers.size > 2) return;
    cursor = at(event);
    if (tool === "polygon") return;
    before = snapshot();
    last = cursor;
    stroke(last, last);
    draw();
  });
  canvas.addEventListener("pointermove", function (event) {
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
    if (pinch && pointers.size === 2) {
      const now = middle();
      const box = canvas.getBoundingClientRect();
      const scale = fit * zoom;
      zoomTo(zoom * (now.far / pinch.far), [(now.x - box.left) / scale, (now.y - box.top) / scale]);
      frame.scrollBy(pinch.x - now.x, pinch.y - now.y);
      pinch = now;
      return;
    }
    cursor = at(event);
    if (last) {
      for (const step of event.getCoalescedEvents ? [...event.getCoalescedEvents(), event] : [event]) {
        stroke(last, at(step));
        last = at(step);
      }
    }
    draw();
  });
  function lift(event) {
    const painted = pointers.delete(event.pointerId) && !pinch;
    if (!pointers.size) pinch = null;
    if (!painted) return;
    if (tool === "polygon") {
      if (event.type === "pointerup") addCorner(at(event));
    } else if (before) {
      const after = snapshot();
      paint.putImageData(before, 0, 0);
      before = last = null;
      change(() => paint.putImageData(after, 0, 0));
    }
  }
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", function () {
    if (!pointers.size) cursor = null;
    draw();
  });
  canvas.addEventListener("dblclick", function (event) {
    event.preventDefault();
    if (tool === "polygon" && corners.length > 3) {
      corners.pop(); // the second of the two clicks
      closePolygon();
    }
  });
  frame.addEventListener(
    "wheel",
    function (event) {
      if (!event.ctrlKey && !event.metaKey && zoom <= 1) return; // the page scrolls
      event.preventDefault();
      zoomTo(zoom * Math.exp(-clamp(event.deltaY, -200, 200) / 400), at(event));
    },
    { passive: false },
  );

  // ---- keys: the arrows move a cursor over the picture, Space paints there
  function step(dx, dy, event) {
    const by = event.shiftKey ? 1 : Math.max(1, Math.round(mask.width / 50));
    const [x, y] = cursor || [mask.width / 2, mask.height / 2];
    cursor = [clamp(x + dx * by, 0, mask.width), clamp(y + dy * by, 0, mask.height)];
    draw();
  }
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", function (event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in arrows) step(...arrows[event.key], event);
    else if (event.key === " ") {
      cursor = cursor || [mask.width / 2, mask.height / 2];
      if (tool === "polygon") addCorner(cursor);
      else change(() => stroke(cursor, cursor));
    } else if (event.key === "Enter" && tool === "polygon") closePolygon();
    else if (event.key === "Escape" && corners.length) {
      corners = [];
      tell();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", function (event) {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "z") return;
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  shortcuts.add({
    b: () => choose("brush"),
    e: () => choose("eraser"),
    p: () => choose("polygon"),
    u: undo,
    r: redo,
    i: invert,
    "[": () => resize(1 / 1.25),
    "]": () => resize(1.25),
    "+": () => zoomTo(zoom * ZOOM_STEP),
    "=": () => zoomTo(zoom * ZOOM_STEP),
    "-": () => zoomTo(zoom / ZOOM_STEP),
    0: () => zoomTo(1),
  }, { repeats: "[]+-=u" });

  editor.addEventListener("click", function (event) {
    const button = event.target.closest("button");
    if (!button) return;
    const acts = { undo, redo, clear, invert, close: closePolygon };
    for (const [name, act] of Object.entries(acts)) if (name in button.dataset) act();
    if (button.dataset.tool) choose(button.dataset.tool);
    if (button.dataset.zoom) zoomTo({ in: zoom * ZOOM_STEP, out: zoom / ZOOM_STEP, fit: 1 }[button.dataset.zoom]);
  });
  opacity.addEventListener("input", draw);
  size.addEventListener("input", draw);
  editor.addEventListener("submit", function () {
    const out = document.createElement("canvas");
    [out.width, out.height] = [mask.width, mask.height];
    const ink = out.getContext("2d");
    ink.fillStyle = "#000";
    ink.fillRect(0, 0, out.width, out.height);
    ink.drawImage(mask, 0, 0);
    field.value = out.toDataURL("image/png");
  });

  // ---- the beginning
  function begin(stored) {
    [mask.width, mask.height] = [picture.naturalWidth, picture.naturalHeight];
    size.max = Math.round(Math.max(mask.width, mask.height) / 3);
    size.value = Math.max(2, Math.round(Math.max(mask.width, mask.height) / 20));
    if (stored) {
      paint.imageSmoothingEnabled = false;
      paint.drawImage(stored, 0, 0, mask.width, mask.height);
      const image = snapshot(); // white on black, where here is white on nothing
      for (let i = 0; i < image.data.length; i += 4) image.data[i + 3] = image.data[i];
      paint.putImageData(image, 0, 0);
      sharpen();
    }
    editor.classList.add("ready");
    layOut();
    choose("brush");
    new ResizeObserver(layOut).observe(frame);
  }
  async function load(source) {
    const image = new Image();
    image.src = source;
    await image.decode();
    return image;
  }
  async function start() {
    const problem = editor.querySelector("[data-problem]");
    try {
      if (!picture.complete || !picture.naturalWidth) await picture.decode();
      begin(editor.dataset.start ? await load(editor.dataset.start) : null);
    } catch {
      problem.hidden = false;
    }
  }
  start();
})();
