// Relative times go on while a page stands open, in the words of the server (`ago` of common/templatetags/formats.py).
"use strict";

(function () {
  // By the server's clock: that of this machine may be off.
  const ahead = Date.now() - Date.parse(document.body.dataset.now);
  const LANGUAGES = {
    en: { now: "now", ago: (words) => `${words} ago`, units: [["a second", "seconds"], ["a minute", "minutes"], ["an hour", "hours"]] },
    de: { now: "jetzt", ago: (words) => `vor ${words}`, units: [["einer Sekunde", "Sekunden"], ["einer Minute", "Minuten"], ["einer Stunde", "Stunden"]] },
  };
  const { now, ago, units } = LANGUAGES[document.documentElement.lang] || LANGUAGES.en;
  const SECONDS = [1, 60, 3600]; // of each unit
  const DAY = 86400; // seconds; what is older changes no more while anybody looks

  function words(seconds) {
    if (seconds < 1) return now;
    const largest = SECONDS.findLastIndex((size) => seconds >= size);
    const count = Math.floor(seconds / SECONDS[largest]);
    const [one, many] = units[largest];
    return ago(count === 1 ? one : `${count}\u00a0${many}`);
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
