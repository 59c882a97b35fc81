// Conveniences of the history: keys, a count of what is selected, places that are found again.
// Everything works without them: links lead on, the form reviews, the address is all there is to know.
"use strict";

(function () {
  const search = document.getElementById("id_search");
  const form = document.getElementById("records-form");
  shortcuts.add({ "/": focusSearch });
  function focusSearch() {
    search.focus();
    search.select();
  }

  if (!form) return;
  const count = document.getElementById("picked-count");
  const all = document.getElementById("pick-all");
  const defect = document.getElementById("defect_type");
  let active = null; // id of the record that had the focus last: keys and buttons act on it where nothing is selected
  let goOnFrom = null; // id of the record that the review just sent was of, the last of several
  let activeThen = null; // what had the focus then: whoever has gone on meanwhile is left there
  const texts = [defect, document.getElementById("comment")].filter(Boolean);
  let textsThen = []; // what these held then: what is typed since is of the next review

  function records() {
    return [...document.querySelectorAll("#records .record")];
  }
  function current() {
    return active && document.getElementById(active);
  }
  function go(step) {
    const every = records();
    const at = every.indexOf(current());
    focus(every[at < 0 ? 0 : Math.min(every.length - 1, Math.max(0, at + step))]);
  }
  function focus(record) {
    const link = record && record.querySelector("a.open");
    if (!link) return;
    link.focus({ preventScroll: true });
    record.scrollIntoView({ block: "nearest" });
  }

  // ---- what a review is of: the selection where there is one, else the record that had the focus last. The page says it.
  function picks() {
    return [...form.querySelectorAll("input[name=inspection]")];
  }
  function picked() {
    return picks().filter((pick) => pick.checked);
  }
  function tell() {
    const many = picked().length;
    const record = many ? null : current();
    for (const other of records()) other.classList.toggle("current", other === record);
    form.classList.toggle("has-current", Boolean(record));
    if (count) count.textContent = many ? say("{} selected", many) : record ? record.dataset.name : say("Nothing selected");
    if (all) all.checked = many > 0 && many === picks().length;
  }
  document.addEventListener("focusin", function (event) {
    const record = event.target.closest("#records .record");
    // Not with the mouse: the bar that says it would slide under the pointer.
    if (!record || record.id === active || !event.target.matches(":focus-visible")) return;
    active = record.id;
    tell();
  });
  if (all) {
    all.closest("label").hidden = false;
    all.addEventListener("change", function () {
      for (const pick of picks()) pick.checked = all.checked;
      tell();
    });
  }
  form.addEventListener("change", tell);
  form.addEventListener("reset", function () {
    active = null;
    setTimeout(tell);
  });

  // ---- keys
  // Nothing is selected, and no record had the focus: the key means nothing.
  const ifAny = (act) => () => (picked().length || current() ? act() : false);
  shortcuts.add({ j: () => go(1), k: () => go(-1) }, { repeats: "jk" });
  if (defect) {
    shortcuts.add({
      x: select,
      g: ifAny(() => shortcuts.press("say-good")),
      d: ifAny(() => defect.focus()),
    });
    shortcuts.addDefectType({ leave: leaveDefectType });
  }
  function select() {
    if (!current()) return false;
    const pick = current().querySelector("input[name=inspection]");
    pick.checked = !pick.checked;
    tell();
  }
  function leaveDefectType() {
    defect.value = "";
    const back = picked()[0] ? picked()[0].closest(".record") : current();
    focus(back || records()[0]);
  }

  // ---- answers
  form.addEventListener("htmx:configRequest", function (event) {
    if (event.detail.elt !== form) return;
    const { formData } = event.detail;
    const record = current();
    // One that waited for a sign-in comes again with the records that it was made of, whatever has the focus by now.
    if (!formData.has("inspection") && record) {
      formData.append("inspection", record.querySelector("input[name=inspection]").value);
    }
    const chosen = formData.getAll("inspection");
    goOnFrom = chosen.length ? `r-${chosen[chosen.length - 1]}` : null;
    activeThen = active;
    textsThen = texts.map((field) => formData.get(field.name));
  });
  document.body.addEventListener("htmx:afterSettle", function (event) {
    if (event.detail.target && event.detail.target.id !== "said") return;
    if (goOnFrom && !form.querySelector("#said [role=alert]")) {
      texts.forEach((field, index) => field.value === textsThen[index] && (field.value = ""));
      const every = records();
      const at = every.findIndex((record) => record.id === goOnFrom);
      if (active === activeThen) focus(every[Math.min(every.length - 1, at + 1)]);
    }
    goOnFrom = null;
    tell();
  });
  // After an undo the rows stand as they are now.
  document.body.addEventListener("undone", function (event) {
    const ids = event.detail.inspections;
    if (!ids) {
      location.reload();
      return;
    }
    const words = new URLSearchParams(location.search);
    words.delete("cursor");
    for (const id of ids) if (document.getElementById("r-" + id)) words.append("inspection", id);
    if (words.has("inspection")) htmx.ajax("GET", `${form.dataset.rows}?${words}`, { target: "#said" });
  });
  for (const name of ["htmx:responseError", "htmx:sendError"]) {
    document.body.addEventListener(name, () => (goOnFrom = null));
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
