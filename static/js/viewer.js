// The viewer of a record: zoom, pan, the map's opacity. Where one looks stands in the address, so it can be sent.
// Without it the image, its map and the checkboxes are there all the same.
"use strict";

(function () {
  const MOST = 20; // times the whole image; a small image is shown larger than it is even then
  const STEP = 1.4;
  const views = new WeakMap();

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // What is at (x, y), in shares of the image, stands in the middle; at zoom 1 the whole image is seen.
  function start(section) {
    if (views.has(section)) return;
    const panes = [...section.querySelectorAll(".pane")];
    const main = section.querySelector("[data-pane]");
    if (!main) return;
    const stack = main.querySelector(".stack");
    const factor = section.querySelector("[data-factor]");
    const opacity = section.querySelector("[data-opacity]");
    const shown = section.querySelector("#show-map");
    const side = section.querySelector(".side-by-side");
    const sizes = [...section.querySelectorAll(".regions text")].map((text) => [text, Number(text.getAttribute("font-size"))]);
    const pointers = new Map();
    let zoom = 1, x = 0.5, y = 0.5, saving = 0;

    for (const tool of section.querySelectorAll("[data-scripted]")) tool.hidden = false;
    stack.style.setProperty("--ratio", stack.firstElementChild.getAttribute("width") / stack.firstElementChild.getAttribute("height") || 1);
    main.tabIndex = 0;
    main.setAttribute("role", "group");
    main.setAttribute("aria-label", say("Viewer: + and - zoom, arrow keys move, 0 shows the whole image"));

    // The zoom at which one pixel of the image takes one of the page.
    function oneToOne() {
      return stack.offsetWidth ? Number(stack.firstElementChild.getAttribute("width")) / stack.offsetWidth : 1;
    }
    const least = () => Math.min(1, oneToOne() || 1);
    const most = () => Math.max(MOST, oneToOne());

    function draw() {
      const half = Math.min(0.5, 0.5 / zoom);
      x = clamp(x, half, 1 - half);
      y = clamp(y, half, 1 - half);
      const place = `translate(${(0.5 - zoom * x) * 100}%, ${(0.5 - zoom * y) * 100}%) scale(${zoom})`;
      for (const pane of panes) pane.querySelector(".stack").style.transform = place;
      section.style.setProperty("--zoom", zoom);
      section.classList.toggle("zoomed", zoom > 1);
      const image = stack.querySelector("img:not(.heat)");
      section.classList.toggle("pixels", Boolean(image) && (zoom * stack.offsetWidth) / image.width > 4);
      for (const [text, size] of sizes) text.setAttribute("font-size", size / Math.sqrt(zoom));
      factor.textContent = `${Math.round((100 * zoom) / (oneToOne() || 1))} %`;
    }

    // ---- the address
    function store() {
      clearTimeout(saving);
      saving = 0;
      if (!section.isConnected) return;
      const words = new URLSearchParams();
      if (zoom !== 1) words.set("view", [zoom.toFixed(2), x.toFixed(4), y.toFixed(4)].join(","));
      if (shown && !shown.checked) words.set("map", "0");
      else if (opacity && opacity.value !== "100") words.set("map", opacity.value);
      if (side && side.checked) words.set("side", "1");
      const text = words.toString().replaceAll("%2C", ",");
      history.replaceState(history.state, "", location.pathname + location.search + (text ? `#${text}` : ""));
    }
    // Not at each step of a movement: browsers refuse a page that changes its address too often.
    function save() {
      clearTimeout(saving);
      saving = setTimeout(store, 200);
    }
    function read() {
      const words = new URLSearchParams(location.hash.slice(1));
      const numbers = (words.get("view") || "").split(",").map(Number);
      if (numbers.length === 3 && numbers.every(Number.isFinite)) {
        zoom = clamp(numbers[0], least(), most());
        x = numbers[1];
        y = numbers[2];
      }
      if (words.has("map") && shown) {
        shown.checked = words.get("map") !== "0";
        if (shown.checked) opacity.value = words.get("map");
        fade();
      }
      if (words.has("side") && side) side.checked = true;
      draw();
    }

    // ---- zoom and pan
    // Where a pointer is, in shares of the place that the whole image takes.
    function at(event, pane) {
      const box = pane.getBoundingClientRect();
      const inner = pane.querySelector(".stack");
      return [
        (event.clientX - box.left - inner.offsetLeft) / inner.offsetWidth,
        (event.clientY - box.top - inner.offsetTop) / inner.offsetHeight,
      ];
    }
    function zoomAt(by, u, v) {
      const next = clamp(zoom * by, least(), most());
      x += (u - 0.5) * (1 / zoom - 1 / next);
      y += (v - 0.5) * (1 / zoom - 1 / next);
      zoom = next;
      draw();
      save();
    }
    function move(dx, dy) {
      x -= dx / zoom;
      y -= dy / zoom;
      draw();
      save();
    }
    function reset() {
      [zoom, x, y] = [1, 0.5, 0.5];
      draw();
      save();
    }
    function fade() {
      section.style.setProperty("--map", opacity.value / 100);
    }

    for (const pane of panes) {
      pane.addEventListener("dragstart", (event) => event.preventDefault());
      pane.addEventListener("dblclick", reset);
      pane.addEventListener(
        "wheel",
        function (event) {
          if (zoom <= 1 && event.deltaY > 0) return; // nothing to zoom out of: the page scrolls
          event.preventDefault();
          const pixels = event.deltaY * (event.deltaMode === 1 ? 20 : 1);
          zoomAt(Math.exp(clamp(-pixels, -200, 200) / 400), ...at(event, pane));
        },
        { passive: false },
      );
      pane.addEventListener("pointerdown", function (event) {
        if (event.button || section.classList.contains("marking")) return;
        pointers.set(event.pointerId, at(event, pane));
        pane.setPointerCapture(event.pointerId);
      });
      pane.addEventListener("pointermove", function (event) {
        const before = pointers.get(event.pointerId);
        if (!before) return;
        const now = at(event, pane);
        const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        pointers.set(event.pointerId, now);
        if (other) {
          const far = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1e-3;
          zoomAt(far(now) / far(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
          move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
        } else if (zoom > 1) {
          move(now[0] - before[0], now[1] - before[1]);
        }
      });
      for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
        pane.addEventListener(name, function (event) {
          pointers.delete(event.pointerId);
          if (saving && !pointers.size) store();
        });
      }
    }
    section.addEventListener("click", function (event) {
      const button = event.target.closest("[data-zoom]");
      if (!button) return;
      if (button.dataset.zoom === "fit") reset();
      else if (button.dataset.zoom === "one") zoomAt(oneToOne() / zoom, 0.5, 0.5);
      else zoomAt(button.dataset.zoom === "in" ? STEP : 1 / STEP, 0.5, 0.5);
    });
    if (opacity) {
      opacity.addEventListener("input", function () {
        shown.checked = true;
        fade();
        save();
      });
    }
    section.addEventListener("change", save);

    const keys = {
      "+": () => zoomAt(STEP, 0.5, 0.5),
      "=": () => zoomAt(STEP, 0.5, 0.5),
      "-": () => zoomAt(1 / STEP, 0.5, 0.5),
      0: reset,
      1: () => zoomAt(oneToOne() / zoom, 0.5, 0.5),
      ArrowLeft: () => move(0.1, 0),
      ArrowRight: () => move(-0.1, 0),
      ArrowUp: () => move(0, 0.1),
      ArrowDown: () => move(0, -0.1),
    };
    // Whether the key meant something here.
    function press(key) {
      if (!(key in keys) || (key.startsWith("Arrow") && zoom <= 1)) return false;
      keys[key]();
      return true;
    }
    views.set(section, { read, press, shown, save });
    draw();
    new ResizeObserver(draw).observe(main); // the per cent are of the page as it is now
  }

  function current() {
    const section = document.querySelector("[data-viewer]");
    return section && views.get(section);
  }
  function startAll(root) {
    const found = root.matches && root.matches("[data-viewer]") ? [root] : root.querySelectorAll("[data-viewer]");
    for (const section of found) start(section);
  }

  document.addEventListener("keydown", function (event) {
    if (!shortcuts.isFree(event)) return;
    if (event.target.type === "range" && event.key.startsWith("Arrow")) return; // the slider's own
    const view = current();
    if (!view) return;
    if (event.key === " ") {
      if (!view.shown || event.target.closest("input:not([type=range]), button, a, summary")) return;
      view.shown.checked = !view.shown.checked;
      view.save();
    } else if (!view.press(event.key)) {
      return;
    }
    event.preventDefault();
  });

  // A row of the list of regions and its box on the image light up together.
  function light(event) {
    const row = event.target.closest("[data-region]");
    const on = row && event.type !== "pointerout" && event.type !== "focusout";
    for (const box of document.querySelectorAll(".regions rect[data-region]")) {
      box.classList.toggle("lit", Boolean(on) && box.dataset.region === row.dataset.region);
    }
  }
  for (const name of ["pointerover", "pointerout", "focusin", "focusout"]) {
    document.addEventListener(name, (event) => event.target.closest("tr[data-region]") && light(event));
  }

  window.addEventListener("hashchange", function () {
    const view = current();
    if (view && /[#&](view|map|side)=/.test(location.hash)) view.read();
  });
  document.body.addEventListener("htmx:load", (event) => startAll(event.detail.elt));
  startAll(document);
  const first = current();
  if (first) first.read();
})();
