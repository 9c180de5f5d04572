/** Short notices: what was done, or could not be. */

import { Store } from "./store.js";

let last = 0;

/** `[{ id, kind: "done" | "problem", text }]` */
export const notices = new Store([]);

/** Shows a notice; one that something was done goes away by itself. */
export function tell(text, kind = "done") {
  last += 1;
  const id = last;
  notices.update((shown) => [...shown.slice(-3), { id, kind, text }]);
  if (kind === "done") setTimeout(() => dismiss(id), 6000);
}

export function dismiss(id) {
  notices.update((shown) => shown.filter((notice) => notice.id !== id));
}
