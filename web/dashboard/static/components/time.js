/** Moments and how far a look at what is stored has gone. */

import { now } from "../lib/clock.js";
import { relative, time, utc } from "../lib/format.js";
import { useEvery } from "../lib/load.js";
import { t } from "../lib/texts.js";
import { html, useState } from "../lib/ui.js";

/** A moment in the zone of the user. */
export function Time({ at }) {
  return at ? html`<time datetime=${at} title=${utc(at)}>${time(at)}</time>` : "–";
}

/** How long ago a moment is, or how far ahead, as time goes by. */
export function Ago({ at }) {
  const [, setSeen] = useState(0);
  useEvery(10, () => setSeen(now()));
  return at ? html`<time datetime=${at} title=${time(at)}>${relative(at, now())}</time>` : "–";
}

/** How far the actions were looked through (`searched` of an answer), in words. */
export function Searched({ searched }) {
  const { actions, since, complete } = searched;
  if (complete) return t("searched.complete", { count: actions });
  return since ? t("searched.since", { count: actions, since: time(since) }) : t("searched.more");
}
