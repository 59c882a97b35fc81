// Images that come before it is said what is inspected here wait for that: they are sent once it is chosen.

import { $, toast } from "./state.js";

const CHOSEN = "images-before-a-choice";

function store(act) {
  return new Promise(function (resolve, reject) {
    const asked = indexedDB.open("line", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(CHOSEN);
    asked.onerror = () => reject(asked.error);
    asked.onsuccess = function () {
      const writing = asked.result.transaction(CHOSEN, "readwrite");
      const answer = act(writing.objectStore(CHOSEN));
      writing.oncomplete = () => (asked.result.close(), resolve(answer.result));
      writing.onerror = () => (asked.result.close(), reject(writing.error));
    };
  });
}
// One tab's images are not another's.
function ownTab() {
  const name = sessionStorage.getItem("line.tab") || String(Math.random());
  sessionStorage.setItem("line.tab", name);
  return name;
}

export function keepForLater() {
  const choice = $("choose-category");
  let early = [];
  function take(files) {
    if (!files.length) return;
    early.push(...files);
    const place = $("early");
    if (!place) return toast(say("Images cannot be inspected here yet. Nothing was sent."));
    const [first] = early;
    $("early-words").textContent = early.length === 1 ? say("{} is kept and sent after the choice.", first.name) : say("{} images are kept and sent after the choice.", early.length);
    place.hidden = false;
    choice.querySelector(".button").focus();
  }
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => event.preventDefault());
  document.addEventListener("drop", function (event) {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  if (choice) choice.addEventListener("click", async function (event) {
    const link = event.target.closest("a.button");
    if (!link || !early.length) return;
    event.preventDefault();
    const files = early;
    early = [];
    await store((kept) => kept.put(files, ownTab())).catch(() => toast(say("This browser cannot keep the images: drop them again.")));
    location.assign(link.href);
  });
}
// What was kept, once; nothing: null.
export async function takeKept() {
  if (!sessionStorage.getItem("line.tab")) return null;
  const files = await store((kept) => kept.get(ownTab())).catch(() => null);
  if (files) await store((kept) => kept.delete(ownTab())).catch(() => null);
  return files;
}
