// What is known of the part: it goes along with every image that is sent.

import { $, remembered } from "./state.js";

const ABOUT = ["station", "lot", "part_number", "serial_number"];
const REMEMBERED = ABOUT.filter((name) => name !== "serial_number");

export function startPart(form) {
  const fields = ABOUT.map((name) => form.elements[name]);
  const serial = form.elements.serial_number;
  function tell() {
    const words = fields.filter((field) => field.value).map((field) => `${field.labels[0].textContent.toLowerCase()} ${field.value}`);
    $("part-words").textContent = words.join(" · ") || say("station, lot, numbers");
  }
  for (const field of fields) {
    if (!field.value && REMEMBERED.includes(field.name)) field.value = remembered(field.name);
    field.addEventListener("input", function () {
      if (REMEMBERED.includes(field.name)) remembered(field.name, field.value);
      tell();
    });
    // Scanners of bar codes end with Enter, which is not meant to send anything.
    field.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  }
  tell();
  return {
    serial,
    tell,
    // Of images that are taken now, whatever is typed until their turn comes.
    values: (number) => ABOUT.map((name) => [name, name === serial.name ? number : form.elements[name].value]),
  };
}
