/** A field for a moment: in the zone of the user, with the same in UTC beside it. */

import { fromField, toField } from "../domain/moments.js";
import { now } from "../lib/clock.js";
import { utc, zone } from "../lib/format.js";
import { session } from "../lib/session.js";
import { t } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { Field } from "./field.js";

const DAY = 86_400_000;

/** The last moment for which something can be scheduled (ms); null: the server has not said. */
function latest() {
  const days = session.value.limits?.scheduleMaxDays;
  return days ? now() + days * DAY : null;
}

/** What is wrong with a value of the field for a schedule; null: nothing. */
function problemWith(value) {
  const moment = Date.parse(fromField(value));
  if (Number.isNaN(moment)) return null;
  if (moment <= now()) return t("moment.past");
  const last = latest();
  return last !== null && moment > last ? t("moment.tooFar", { count: session.value.limits.scheduleMaxDays }) : null;
}

/** Whether a schedule can be for this value. */
export const isPossible = (value) => fromField(value) !== "" && problemWith(value) === null;

/** @param {{ label: string, value: string, onInput: (value: string) => void }} props `value` as of `toField` */
export function Moment({ label, value, onInput, ...rest }) {
  const moment = fromField(value);
  const last = latest();
  const hint = moment ? t("moment.zoneAndUtc", { zone: zone(), utc: utc(moment) }) : t("moment.zone", { zone: zone() });
  return html`
    <${Field} label=${label} hint=${hint} error=${problemWith(value)}>
      ${(attributes) => html`
        <input
          type="datetime-local"
          required
          ...${attributes}
          ...${rest}
          min=${toField(now())}
          max=${last === null ? undefined : toField(last)}
          value=${value}
          onInput=${(event) => onInput(event.target.value)}
        />
      `}
    <//>
  `;
}
