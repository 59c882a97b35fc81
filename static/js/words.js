// What scripts say in the language of the page, from the list in common/web/script_words.py. Values take the places of `{}`.
"use strict";

const said = JSON.parse(document.getElementById("words")?.textContent || "{}");
window.say = (text, ...values) => (said[text] || text).replace(/{}/g, () => values.shift());
