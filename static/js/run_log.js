// The log of a run follows what is appended, for whom its end is in sight; who has scrolled back is left there.
"use strict";

(function () {
  const log = document.getElementById("log");
  let follows = true;
  log.addEventListener("scroll", function () {
    follows = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  });
  function follow() {
    if (follows) log.scrollTop = log.scrollHeight;
  }
  document.body.addEventListener("htmx:oobAfterSwap", follow);
  follow();
})();
