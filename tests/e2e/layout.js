// Faults of the layout of the page that is open, in sentences; boxes may lie over each other by `slack` pixels.
slack => {
  const faults = [];
  const root = document.documentElement;
  const width = root.clientWidth;
  const style = element => getComputedStyle(element);
  const name = element => {
    const words = (element.innerText || element.textContent || element.value || "").trim().replace(/\s+/g, " ");
    const own = element.id ? "#" + element.id : element.getAttribute("class") ? "." + element.getAttribute("class") : "";
    return `<${element.localName}${own}> "${words.slice(0, 40)}"`;
  };
  const shown = element => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility({
      opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true,
    });
  };
  const clips = element => style(element).overflowX !== "visible";
  const scrolls = element => ["auto", "scroll"].includes(style(element).overflowX);
  // The part of a box that its surroundings let through.
  const seen = (box, around) => {
    let {left, top, right, bottom} = box;
    for (let above = around; above; above = above.parentElement) {
      if (style(above).overflowX === "visible" && style(above).overflowY === "visible") continue;
      if (above === document.body || above === root) continue;
      const edge = above.getBoundingClientRect();
      if (style(above).overflowX !== "visible") { left = Math.max(left, edge.left); right = Math.min(right, edge.right); }
      if (style(above).overflowY !== "visible") { top = Math.max(top, edge.top); bottom = Math.min(bottom, edge.bottom); }
    }
    return {left, top, right, bottom};
  };
  // What floats over the page on purpose: the bar, an open dialog, a checkbox on a picture.
  const floats = element => {
    for (let above = element; above && above !== document.body; above = above.parentElement) {
      if (["fixed", "absolute", "sticky"].includes(style(above).position)) return true;
    }
    return false;
  };

  // 1. Wider than the window.
  if (root.scrollWidth > width) {
    const wide = [...document.body.querySelectorAll("*")].filter(element => {
      if (!shown(element) || floats(element) || element.closest("svg") !== null && element.localName !== "svg") return false;
      for (let above = element.parentElement; above; above = above.parentElement) if (clips(above)) return false;
      return element.getBoundingClientRect().right > width;
    });
    faults.push(`${root.scrollWidth} px wide: ${wide.slice(-3).map(name).join(", ")}`);
  }

  // 2. Cut labels.
  const labels = "label, legend, button, h1, h2, h3, th, dt, summary, caption, figcaption, nav a, .button, .badge, .tag, .chip, .tile dd, .legend span, .chart-legend span";
  for (const element of document.body.querySelectorAll(labels)) {
    if (!shown(element) || floats(element) && !element.closest(".rail")) continue;
    const hides = overflow => ["hidden", "clip"].includes(overflow);
    if (hides(style(element).overflowX) && element.scrollWidth > element.clientWidth + 1) faults.push(`cut: ${name(element)}`);
    else if (hides(style(element).overflowY) && element.scrollHeight > element.clientHeight + 1) faults.push(`cut: ${name(element)}`);
  }
  for (const text of document.body.querySelectorAll("svg text")) {
    if (!shown(text)) continue;
    const box = text.getBoundingClientRect();
    if (text.closest(".heat")) continue;  // drawn on the picture itself, which can be zoomed
    let scroller = false;
    for (let above = text.parentElement; above; above = above.parentElement) {
      scroller ||= scrolls(above);
      if (above === root || scroller || !["hidden", "clip"].includes(style(above).overflowX)) continue;
      const edge = above.getBoundingClientRect();
      if (box.left < edge.left - 1 || box.right > edge.right + 1 || box.top < edge.top - slack || box.bottom > edge.bottom + slack)
        { faults.push(`cut: ${name(text)}`); break; }
    }
    if (!scroller && (box.left < -1 || box.right > width + 1)) faults.push(`cut by the window: ${name(text)}`);
  }

  // 3. Text and controls that lie over each other. Of text, each line is a box.
  const boxes = [];
  const add = (element, box, around) => {
    const {left, top, right, bottom} = seen(box, around);
    if (right - left > slack && bottom - top > slack) boxes.push({element, left, top, right, bottom});
  };
  const controls = "img, a, button, input:not([type=hidden]), select, textarea, summary, progress, meter";
  for (const element of document.body.querySelectorAll(controls)) {
    if (!shown(element) || floats(element) || style(element).display === "contents") continue;
    for (const box of element.getClientRects()) add(element, box, element.parentElement);
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, option, textarea, .heat") || !shown(element) || floats(element)) continue;
    if (element.closest("svg")) { if (element.localName === "text") add(element, element.getBoundingClientRect(), element.parentElement); continue; }
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) add(element, box, element);
  }
  boxes.sort((one, other) => one.top - other.top);
  const said = new Set();
  for (let i = 0; i < boxes.length; i++) {
    const one = boxes[i];
    for (let j = i + 1; j < boxes.length && boxes[j].top < one.bottom - slack; j++) {
      const other = boxes[j];
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - other.top;
      if (across <= slack || down <= slack) continue;
      if (one.element.contains(other.element) || other.element.contains(one.element)) continue;
      const label = one.element.closest("label");
      if (label && label.contains(other.element) && label.querySelector("input")) continue;
      said.add(`overlap: ${name(one.element)} and ${name(other.element)}`);
    }
  }
  faults.push(...[...said].slice(0, 6));
  return faults;
}
