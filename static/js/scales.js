// Drawing a known length on a picture: two points, by mouse, finger or keys. All places are in pixels of the picture; the
// fields of the form hold them, and without this file they are typed there.
"use strict";

(function () {
  const editor = document.querySelector("[data-scale-editor]");
  if (!editor) return;
  const MAX_ZOOM = 16, ZOOM_STEP = 1.5;
  const RING = 7, TOUCH = 20; // pixels of the screen
  const drawing = editor.querySelector("[data-drawing]");
  const inner = editor.querySelector("[data-inner]");
  const frame = editor.querySelector("[data-frame]");
  const text = editor.querySelector("[data-scale-text]");
  const field = (name) => editor.querySelector(`[name=${name}]`);
  const handles = [...editor.querySelectorAll("[data-handle]")];
  const { width, height } = drawing.viewBox.baseVal;

  let zoom = 1;
  let dragged = null; // which of the two points moves with the pointer
  let typedError = false; // the uncertainty of a point is what somebody typed

  const clamp = (value, high) => Math.min(high, Math.max(0, value));
  const perScreenPixel = () => width / (drawing.getBoundingClientRect().width || width);

  // ---- the points, as the fields hold them
  function point(n) {
    const [x, y] = [field(`x${n}`).value, field(`y${n}`).value];
    return x === "" || y === "" ? null : [Number(x), Number(y)];
  }
  function put(n, [x, y]) {
    field(`x${n}`).value = (Math.round(clamp(x, width) * 10) / 10).toString();
    field(`y${n}`).value = (Math.round(clamp(y, height) * 10) / 10).toString();
    draw();
  }

  function draw() {
    const places = [point(1), point(2)];
    const unit = perScreenPixel();
    handles.forEach(function (handle, index) {
      const place = places[index];
      // Without a place a handle waits in the picture, so that keys reach it; it is not seen.
      const [x, y] = place || [width * (index ? 0.75 : 0.25), height / 2];
      for (const circle of handle.querySelectorAll("circle")) {
        circle.setAttribute("cx", x);
        circle.setAttribute("cy", y);
        circle.setAttribute("r", (circle.classList.contains("ring") ? (place ? RING : 0) : TOUCH) * unit);
      }
      handle.setAttribute("aria-valuenow", Math.round(x));
      handle.setAttribute("aria-valuetext", `x ${x.toFixed(1)}, y ${y.toFixed(1)}`);
    });
    const whole = places[0] && places[1];
    for (const line of drawing.querySelectorAll("line")) {
      line.toggleAttribute("hidden", !whole);
      line.style.display = whole ? "" : "none";
      if (!whole) continue;
      line.setAttribute("x1", places[0][0]);
      line.setAttribute("y1", places[0][1]);
      line.setAttribute("x2", places[1][0]);
      line.setAttribute("y2", places[1][1]);
    }
    const far = whole ? Math.hypot(places[0][0] - places[1][0], places[0][1] - places[1][1]) : 0;
    const length = Number(field("length_mm").value);
    const scale = far > 0 && length > 0 ? ` = ${length} mm, ${(length / far).toPrecision(4)} mm/px` : "";
    text.value = far > 0 ? `${far.toFixed(1)} px${scale}` : "";
  }

  // ---- mouse, pen and finger
  function at(event) {
    const box = drawing.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  }
  function nearest(place) {
    const reach = TOUCH * perScreenPixel();
    const distances = [1, 2].map((n) => (point(n) ? Math.hypot(point(n)[0] - place[0], point(n)[1] - place[1]) : Infinity));
    const least = Math.min(...distances);
    return least <= reach ? distances.indexOf(least) + 1 : null;
  }
  drawing.addEventListener("pointerdown", function (event) {
    if (event.button || dragged) return;
    event.preventDefault();
    const place = at(event);
    dragged = nearest(place);
    if (!dragged) {
      put(1, place);
      put(2, place);
      dragged = 2;
    }
    handles[dragged - 1].focus({ preventScroll: true });
    drawing.setPointerCapture(event.pointerId);
  });
  drawing.addEventListener("pointermove", function (event) {
    if (dragged) put(dragged, at(event));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    drawing.addEventListener(kind, function () {
      if (dragged && !typedError) field("point_error_px").value = Math.max(1, Math.round(perScreenPixel() * 10) / 10);
      dragged = null;
    });
  }

  // ---- keys: the arrows move the point that has the focus
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  handles.forEach(function (handle, index) {
    handle.addEventListener("keydown", function (event) {
      if (!(event.key in arrows) || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      const by = event.shiftKey ? 10 : 1;
      const [x, y] = point(index + 1) || [width * (index ? 0.75 : 0.25), height / 2];
      put(index + 1, [x + arrows[event.key][0] * by, y + arrows[event.key][1] * by]);
    });
  });

  // ---- zoom: the frame scrolls
  function zoomTo(next) {
    const middle = [
      (frame.scrollLeft + frame.clientWidth / 2) / zoom,
      (frame.scrollTop + frame.clientHeight / 2) / zoom,
    ];
    zoom = Math.min(MAX_ZOOM, Math.max(1, next));
    inner.style.width = `${100 * zoom}%`;
    frame.scrollTo(middle[0] * zoom - frame.clientWidth / 2, middle[1] * zoom - frame.clientHeight / 2);
    draw();
  }
  for (const button of editor.querySelectorAll("[data-zoom]")) {
    const steps = { in: ZOOM_STEP, out: 1 / ZOOM_STEP, fit: 0 };
    button.addEventListener("click", () => zoomTo(zoom * steps[button.dataset.zoom]));
  }

  for (const name of ["x1", "y1", "x2", "y2", "length_mm"]) field(name).addEventListener("input", draw);
  field("point_error_px").addEventListener("input", () => (typedError = true));
  window.addEventListener("resize", draw);
  drawing.removeAttribute("hidden");
  editor.querySelector("[data-tools]").hidden = false;
  draw();
})();
