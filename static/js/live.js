// The live view of cameras: the newest frame and the last verdict, asked for once a second. What does not come is not shown as new.
"use strict";

(function () {
  const EVERY = 1000; // milliseconds

  function start(view) {
    const image = view.querySelector("img");
    const state = view.querySelector("[data-live-state]");
    const lost = view.querySelector(".live-lost");
    let heard = Date.now();
    let shown = state.firstElementChild?.dataset.version || "";
    let address = ""; // of the frame that is shown
    let isAsking = false;

    async function ask(url) {
      const answer = await fetch(url, { credentials: "same-origin", cache: "no-store", headers: { "X-Requested-With": "fetch" } });
      if (!answer.ok || answer.redirected) throw new Error(answer.status);
      return answer;
    }
    async function showFrame(version) {
      if (!version || version === shown) return;
      const frame = await ask(`${view.dataset.frame}?v=${version}`);
      const next = URL.createObjectURL(await frame.blob());
      image.src = next;
      image.hidden = false;
      await image.decode().catch(() => {});
      if (address) URL.revokeObjectURL(address);
      address = next;
      shown = version;
    }
    function mark() {
      const isLost = Date.now() - heard > Number(view.dataset.stale);
      view.classList.toggle("lost", isLost);
      lost.hidden = !isLost;
    }
    async function look() {
      mark();
      if (document.hidden || isAsking) return;
      isAsking = true;
      try {
        const answer = await ask(view.dataset.state);
        state.innerHTML = await answer.text();
        heard = Date.now();
        const version = state.firstElementChild?.dataset.version || "";
        view.classList.toggle("silent", !version);
        await showFrame(version);
      } catch {
        // The next look may succeed; until then `mark` says that what is shown is old.
      } finally {
        isAsking = false;
        mark();
      }
    }
    setInterval(look, EVERY);
    document.addEventListener("visibilitychange", look);
    look();
  }

  document.querySelectorAll("[data-live]").forEach(start);
})();
