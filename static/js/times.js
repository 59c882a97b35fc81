// Relative times go on while a page stands open, in the words of the server (`ago` of common/templatetags/formats.py).
"use strict";

(function () {
  // By the server's clock: that of this machine may be off.
  const ahead = Date.now() - Date.parse(document.body.dataset.now);
  const UNITS = [[1, "a second", "seconds"], [60, "a minute", "minutes"], [3600, "an hour", "hours"]];
  const DAY = 86400; // seconds; what is older changes no more while anybody looks

  function words(seconds) {
    if (seconds < 1) return "now";
    const [size, one, many] = UNITS.findLast(([size]) => seconds >= size);
    const count = Math.floor(seconds / size);
    return count === 1 ? `${one} ago` : `${count}\u00a0${many} ago`;
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
