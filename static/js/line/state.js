// What the modules of the line share.

export const $ = (id) => document.getElementById(id);
export const CATEGORY = $("state").dataset.category;
export const FETCH = { "X-Requested-With": "fetch" };

export const line = {
  shown: $("result").dataset.inspection || "", // the record that panel, list and address are about; "" for none
  isOpened: Boolean($("result").dataset.inspection), // by a person: the way back leads to it
  wish: 0, // counts what the panel was asked for: an answer that comes later than a newer wish is dropped
  step: 0, // the wish that a step through the list was
  nextSince: 0, // when the part that is shown was opened after a review of another; 0: a person opened it
  sending: null, // the image whose answer is waited for
  together: null, // the images that were sent together last, and what became of them
};

export const address = (id) => `${location.pathname}?${new URLSearchParams({ ...(CATEGORY && { category: CATEGORY }), ...(id && { inspection: id }) })}`;
export const toast = (text) => document.body.dispatchEvent(new CustomEvent("toast", { detail: { text } }));
export const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

// Something above has changed: whoever shows it listens for `line-changed`.
export const tellChange = () => document.dispatchEvent(new Event("line-changed"));

// A browser may keep nothing: then nothing is remembered.
export function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem("line." + name) || "";
    localStorage.setItem("line." + name, value);
  } catch {
    return "";
  }
}
