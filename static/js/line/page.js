// The line: one part at a time in the panel, the list and the address; a queue of images, paste, camera, keys.
// Without scripts the form uploads, links open, forms review, and the page answers.

import "./live.js";
import "./review.js";
import { keepForLater } from "./early.js";
import { startQueue } from "./queue.js";
import { $, tellChange } from "./state.js";

tellChange();
const form = $("upload");
if (form) startQueue(form);
else keepForLater();
