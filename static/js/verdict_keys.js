// The blind review and the review queue: one key for each decision.
"use strict";

shortcuts.add({
  g: () => shortcuts.press("say-good"),
  d: () => shortcuts.press("say-defect"),
  u: () => shortcuts.press("say-doubtful"),
  s: () => shortcuts.press("say-skipped"),
  n: () => shortcuts.press("take-next"),
});
