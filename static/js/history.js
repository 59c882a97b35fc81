// Conveniences of the history: keys, a count of what is selected, places that are found again.
// Everything works without them: links lead on, the form reviews, the address is all there is to know.
"use strict";

(function () {
  const search = document.getElementById("id_serial");
  const form = document.getElementById("records-form");
  const keys = document.getElementById("keys");
  const opener = document.getElementById("show-keys");
  opener.hidden = false;
  opener.addEventListener("click", function () {
    keys.showModal();
  });
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const act = { "/": focusSearch, "?": () => keys.showModal() }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  function focusSearch() {
    search.focus();
    search.select();
  }

  if (!form) return;
  const count = document.getElementById("picked-count");
  const all = document.getElementById("pick-all");
  const defect = document.getElementById("defect_type");
  const offline = document.getElementById("offline");
  let reviewed = null; // the record whose row is being replaced

  // ---- the current record is the one that has the focus
  function records() {
    return [...document.querySelectorAll("#records .record")];
  }
  function current() {
    return document.activeElement.closest("#records .record");
  }
  function go(step) {
    const every = records();
    const at = every.indexOf(current());
    const next = every[at < 0 ? 0 : Math.min(every.length - 1, Math.max(0, at + step))];
    focus(next);
  }
  function focus(record) {
    const link = record && record.querySelector("a.open");
    if (!link) return;
    link.focus({ preventScroll: true });
    record.scrollIntoView({ block: "nearest" });
  }

  // ---- selection
  function picks() {
    return [...form.querySelectorAll("input[name=inspection]")];
  }
  function tell() {
    const many = picks().filter((pick) => pick.checked).length;
    if (count) count.textContent = many + " selected";
    if (all) all.checked = many > 0 && many === picks().length;
  }
  function pickOnly(record) {
    for (const pick of picks()) pick.checked = record.contains(pick);
    tell();
  }
  if (all) {
    all.closest("label").hidden = false;
    all.addEventListener("change", function () {
      for (const pick of picks()) pick.checked = all.checked;
      tell();
    });
  }
  form.addEventListener("change", tell);
  form.addEventListener("reset", function () {
    setTimeout(tell);
  });

  // ---- keys
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
    if (event.target === defect) {
      if (event.key === "Enter") {
        event.preventDefault();
        form.querySelector("button[value=defective]").click();
      } else if (event.key === "Escape") {
        const back = picks().find((pick) => pick.checked);
        form.reset();
        focus(back && back.closest(".record"));
      }
      return;
    }
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const key = event.key.toLowerCase();
    if (key === "j" || key === "k") {
      event.preventDefault();
      go(key === "j" ? 1 : -1);
      return;
    }
    const record = current();
    const pick = record && record.querySelector("input[name=inspection]");
    if (!pick) return;
    if (key === "x") {
      pick.checked = !pick.checked;
      tell();
    } else if (key === "g") {
      reviewed = record.id;
      htmx.ajax("POST", form.getAttribute("action"), {
        source: record,
        target: "#said",
        values: { inspection: pick.value, verdict: "good" },
      });
    } else if (key === "d") {
      event.preventDefault();
      pickOnly(record);
      defect.focus();
    }
  });

  // ---- answers
  form.addEventListener("htmx:beforeRequest", function (event) {
    offline.hidden = true;
    const first = picks().find((pick) => pick.checked);
    if (!reviewed && first && event.detail.elt === form) reviewed = first.closest(".record").id;
  });
  document.body.addEventListener("htmx:afterSettle", function (event) {
    if (event.detail.target && event.detail.target.id !== "said") return;
    tell();
    if (form.querySelector("#said .done")) {
      if (defect) defect.value = "";
      document.getElementById("comment").value = "";
    }
    if (reviewed) focus(document.getElementById(reviewed));
    reviewed = null;
  });
  for (const name of ["htmx:responseError", "htmx:sendError"]) {
    document.body.addEventListener(name, function (event) {
      reviewed = null;
      if (event.target.id === "figures") {
        event.target.hidden = true;
        document.getElementById("figures-failed").hidden = false;
      } else {
        offline.hidden = false;
      }
    });
  }

  // ---- whoever comes back finds the place, also below "Show more"
  form.addEventListener("click", function (event) {
    const link = event.target.closest("a.open");
    if (!link) return;
    const page = link.closest("[data-page]").dataset.page;
    history.replaceState(history.state, "", page + "#" + link.closest(".record").id);
  });
  if (location.hash.startsWith("#r-")) focus(document.getElementById(location.hash.slice(1)));
  tell();
})();
