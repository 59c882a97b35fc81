// The slider of a threshold's page. Without it the number field and its button do the same.
"use strict";

(function () {
  const form = document.getElementById("preview");
  if (!form) return;
  const number = form.elements.threshold;
  const slider = document.getElementById("slider");
  const mark = document.querySelector(".lanes .mark.preview");
  const label = document.querySelector(".lanes .mark-label.preview");
  const low = Number(slider.min);
  const high = Number(slider.max);
  slider.closest("[hidden]").hidden = false;

  function draw(value) {
    const at = Math.min(100, Math.max(0, (100 * (value - low)) / (high - low)));
    mark.setAttribute("d", "M" + at.toFixed(2) + " 0V100");
    label.setAttribute("x", at.toFixed(2) + "%");
    label.setAttribute("text-anchor", at < 33 ? "start" : at > 67 ? "end" : "middle");
    label.textContent = say("preview") + " " + written(value);
  }

  // As the server writes scores.
  function written(value) {
    return Math.abs(value) >= 1 || value === 0 ? value.toFixed(2) : value.toPrecision(3);
  }

  function choose(value) {
    number.value = value.toFixed(slider.dataset.decimals);
    number.dispatchEvent(new Event("input", { bubbles: true }));
  }

  slider.addEventListener("input", function () {
    choose(Number(slider.value));
  });
  slider.addEventListener("keydown", function (event) {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (!steps) return;
    event.preventDefault();
    choose(Math.min(high, Math.max(low, Number(slider.value) + steps * Number(slider.dataset.step))));
  });
  number.addEventListener("input", function () {
    if (number.value === "") return;
    slider.value = number.value;
    draw(Number(number.value));
  });
  form.addEventListener("htmx:configRequest", function (event) {
    // What is empty asks for nothing and has no place in the address.
    for (const [name, value] of [...event.detail.formData.entries()]) {
      if (value === "") event.detail.formData.delete(name);
    }
  });
})();
