// Conveniences of a record's page: keys, and boxes drawn on the image instead of typed.
// Everything works without them: links lead on, the form reviews.
"use strict";

(function () {
  const field = (id) => document.getElementById(id);

  function follow(relation) {
    const link = document.querySelector(`a[rel=${relation}]`);
    if (link) link.click();
  }

  shortcuts.add({
    j: () => follow("next"),
    k: () => follow("prev"),
    g: () => shortcuts.press("say-good"),
    d: () => field("defect_type") && field("defect_type").focus(),
    Escape: stop,
  });
  shortcuts.addDefectType();

  // What was said is said: the next key is the page's again, not the field's.
  document.body.addEventListener("reviewed", () => document.activeElement.blur());

  // ---- whether to go on to the next record is remembered by the browser, if it may
  const THEN = "record.then-next";
  function remembered(value) {
    try {
      if (value === undefined) return localStorage.getItem(THEN) === "yes";
      localStorage.setItem(THEN, value ? "yes" : "no");
    } catch {
      return false;
    }
  }
  function recall() {
    if (field("then-next")) field("then-next").checked = remembered();
  }
  document.addEventListener("change", function (event) {
    if (event.target.id === "then-next") remembered(event.target.checked);
  });
  document.body.addEventListener("htmx:afterSettle", recall);
  recall();

  // ---- boxes
  const section = document.querySelector("[data-viewer]");
  const pane = section && section.querySelector("[data-pane]");
  const image = pane && pane.querySelector(".stack > :first-child");
  if (!image) return;
  const width = Number(image.getAttribute("width"));
  const height = Number(image.getAttribute("height"));
  const SVG = "http://www.w3.org/2000/svg";
  let sheet = null;
  let from = null;

  function stop() {
    section.classList.remove("marking");
    if (field("mark")) field("mark").setAttribute("aria-pressed", "false");
  }
  function boxes() {
    const text = field("regions") ? field("regions").value : "";
    return text
      .split("\n")
      .map((line) => line.trim().split(/[\s,;]+/).map(Number))
      .filter((numbers) => numbers.length === 4 && numbers.every(Number.isFinite));
  }
  function draw(extra) {
    if (!sheet) {
      sheet = document.createElementNS(SVG, "svg");
      sheet.setAttribute("viewBox", `0 0 ${width} ${height}`);
      sheet.setAttribute("class", "heat regions drawn");
      sheet.setAttribute("aria-hidden", "true");
      pane.querySelector(".stack").append(sheet);
    }
    sheet.replaceChildren(
      ...[...boxes(), ...(extra ? [extra] : [])].map(function (numbers) {
        const box = document.createElementNS(SVG, "rect");
        ["x", "y", "width", "height"].forEach((name, index) => box.setAttribute(name, numbers[index]));
        box.setAttribute("class", "said");
        return box;
      }),
    );
  }
  function at(event) {
    const box = image.getBoundingClientRect();
    const inside = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
    return [
      inside(((event.clientX - box.left) / box.width) * width, width),
      inside(((event.clientY - box.top) / box.height) * height, height),
    ];
  }
  function boxTo(event) {
    const to = at(event);
    const left = Math.min(from[0], to[0]), top = Math.min(from[1], to[1]);
    return [left, top, Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
  }
  pane.addEventListener("pointerdown", function (event) {
    if (event.button || !section.classList.contains("marking")) return;
    from = at(event);
    pane.setPointerCapture(event.pointerId);
  });
  pane.addEventListener("pointermove", function (event) {
    if (from) draw(boxTo(event));
  });
  pane.addEventListener("pointerup", function (event) {
    if (!from) return;
    const box = boxTo(event);
    from = null;
    if (box[2] && box[3]) {
      const text = field("regions").value.trim();
      field("regions").value = (text ? text + "\n" : "") + box.join(" ");
    }
    draw();
  });
  pane.addEventListener("pointercancel", function () {
    from = null;
    draw();
  });
  document.addEventListener("click", function (event) {
    if (event.target.id !== "mark") return;
    const on = section.classList.toggle("marking");
    if (on) section.scrollIntoView({ block: "nearest" }); // one draws on the picture, not where the button is
    event.target.setAttribute("aria-pressed", String(on));
  });
  document.addEventListener("input", function (event) {
    if (event.target.id === "regions") draw();
  });
  function offer() {
    if (field("mark")) field("mark").hidden = false;
    draw();
  }
  document.body.addEventListener("htmx:afterSettle", function () {
    stop();
    offer();
  });
  offer();
})();
