// Relative times go on while a page stands open, in the words of the server (`ago` of common/templatetags/formats.py).
"use strict";

(function () {
  // By the server's clock: that of this machine may be off.
  const ahead = Date.now() - Date.parse(document.body.dataset.now);
  const isGerman = document.documentElement.lang === "de";
  const units = isGerman
    ? [["einer Sekunde", "Sekunden"], ["einer Minute", "Minuten"], ["einer Stunde", "Stunden"]]
    : [["a second", "seconds"], ["a minute", "minutes"], ["an hour", "hours"]];
  const SECONDS = [1, 60, 3600]; // of each unit
  const DAY = 86400; // seconds; what is older changes no more while anybody looks

  function words(seconds) {
    if (seconds < 1) return isGerman ? "jetzt" : "now";
    const largest = SECONDS.findLastIndex((size) => seconds >= size);
    const count = Math.floor(seconds / SECONDS[largest]);
    const span = count === 1 ? units[largest][0] : `${count}\u00a0${units[largest][1]}`;
    return isGerman ? `vor ${span}` : `${span} ago`;
  }
  function tick() {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time.ago")) {
      const seconds = Math.floor((Date.now() - ahead - Date.parse(time.dateTime)) / 1000);
      if (seconds < 0 || seconds >= DAY) continue;
      const text = words(seconds);
      if (time.textContent !== text) time.textContent = text;
    }
  }
  setInterval(tick, 5000);
  document.addEventListener("visibilitychange", tick);
})();
