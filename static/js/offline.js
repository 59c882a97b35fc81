// "The server did not answer", for what htmx asks: `data-offline` of a notice selects the elements whose requests it is of.
// Of several notices that of the innermost element is shown.
"use strict";

(function () {
  function noticeOf(element) {
    let notice = null, place = null;
    for (const other of document.querySelectorAll("[data-offline]")) {
      const around = element.closest(other.dataset.offline);
      if (around && (!place || place.contains(around))) [notice, place] = [other, around];
    }
    return notice;
  }
  function show(event, isHidden) {
    const notice = noticeOf(event.target);
    if (notice) notice.hidden = isHidden;
  }
  for (const name of ["htmx:sendError", "htmx:responseError"]) document.body.addEventListener(name, (event) => show(event, false));
  // What is sent anew may be answered; what is only asked for goes on being missing until it comes.
  document.body.addEventListener("htmx:beforeRequest", (event) => event.detail.requestConfig.verb !== "get" && show(event, true));
  document.body.addEventListener("htmx:afterOnLoad", (event) => event.detail.xhr.status < 400 && show(event, true));
})();
