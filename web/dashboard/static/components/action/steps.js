/** What can be done with an action: by its status, and by the role of who looks at it. */

import { fromField, toField } from "../../domain/moments.js";
import { stepsOf } from "../../domain/progress.js";
import { ApiError, change, path } from "../../lib/api.js";
import { newKey } from "../../lib/keys.js";
import { tell } from "../../lib/notices.js";
import { go } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { Confirm } from "../dialog.js";
import { Text } from "../field.js";
import { isPossible, Moment } from "../moment.js";
import { describe } from "../states.js";

/** Longest reason, characters. */
const REASON = 500;

/**
 * @param {{ action: object, name: string, onChanged: (action: object) => void, onRefused: (error: Error) => void }} props
 *   `onChanged` is given the action as it is then; `onRefused`: it is not as it was thought to be
 */
export function Steps({ action, name, onChanged, onRefused }) {
  const [asking, setAsking] = useState(null);
  const [busy, setBusy] = useState(false);
  const group = useRef(null);
  // Of a request whose answer was lost, sent again: it is the same retry.
  const key = useRef(newKey());
  const steps = stepsOf(action);
  // The button that was pressed may be gone.
  useEffect(() => {
    if (asking === null && document.activeElement === document.body) group.current?.focus();
  }, [asking, action.status]);
  if (!may("operator")) return null;

  const route = path("bulk-actions", action.actionId);
  const told = (text, changed) => {
    onChanged(changed);
    tell(text);
  };
  const perform = {
    start: async () => told(t("steps.started"), await change("PATCH", route, { json: { scheduledAt: null } })),
    reschedule: async (moment) => {
      const changed = await change("PATCH", route, { json: { scheduledAt: moment } });
      told(t(changed.status === "SCHEDULED" ? "steps.rescheduled" : "steps.started"), changed);
    },
    pause: async () => told(t("steps.paused"), await change("POST", `${route}/pause`)),
    resume: async () => told(t("steps.resumed"), await change("POST", `${route}/resume`)),
    cancel: async (reason) => {
      told(t("steps.cancelled"), await change("POST", `${route}/cancel`, { json: { reason: reason || null } }));
    },
    retry: async () => {
      const made = await change("POST", `${route}/retry`, { headers: { "Idempotency-Key": key.current } });
      tell(t("steps.retried"));
      go(["actions", made.actionId]);
    },
    delete: async () => {
      await change("DELETE", route);
      tell(t("steps.deleted", { name }));
      go(["actions"]);
    },
  };
  /** Does something; when it is refused, what is shown is old. */
  async function attempt(step, value) {
    try {
      await perform[step](value);
    } catch (error) {
      onRefused(error);
      throw error;
    }
  }
  async function press(step) {
    if (ASKED.includes(step)) {
      setAsking(step);
      return;
    }
    if (busy) return;
    setBusy(true);
    try {
      await attempt(step);
    } catch (error) {
      tell(describe(error), "problem");
      // It is the answer of the server that the same request would have again.
      if (error instanceof ApiError) key.current = newKey();
    } finally {
      setBusy(false);
    }
  }
  const close = () => setAsking(null);
  return html`
    <div class="buttons steps" role="group" aria-label=${t("steps.title")} tabindex="-1" ref=${group}>
      ${steps.map(
        (step) => html`
          <button type="button" key=${step} class=${step === steps[0] && PRIMARY.includes(step) && !action.retriedBy ? "primary" : ""} aria-disabled=${busy} onClick=${() => press(step)}>
            ${t(`steps.${step}`)}
          </button>
        `,
      )}
    </div>
    ${asking === "cancel" && html`<${Cancel} perform=${(reason) => attempt("cancel", reason)} onClose=${close} />`}
    ${asking === "reschedule" && html`<${Reschedule} action=${action} perform=${(moment) => attempt("reschedule", moment)} onClose=${close} />`}
    ${asking === "delete" && html`<${Delete} name=${name} perform=${() => attempt("delete")} onClose=${close} />`}
  `;
}

const ASKED = ["cancel", "reschedule", "delete"];
const PRIMARY = ["resume", "retry"];

function Cancel({ perform, onClose }) {
  const [reason, setReason] = useState("");
  return html`
    <${Confirm} title=${t("steps.cancelTitle")} text=${t("steps.cancelText")} action=${t("steps.cancelYes")} danger perform=${() => perform(reason.trim())} onClose=${onClose}>
      <${Text} label=${t("steps.reason")} hint=${t("steps.reasonHint")} value=${reason} onInput=${setReason} maxlength=${REASON} />
    <//>
  `;
}

function Reschedule({ action, perform, onClose }) {
  const [value, setValue] = useState(toField(action.scheduledAt));
  return html`
    <${Confirm} title=${t("steps.rescheduleTitle")} action=${t("steps.rescheduleYes")} ready=${isPossible(value)} perform=${() => perform(fromField(value))} onClose=${onClose}>
      <${Moment} label=${t("steps.when")} value=${value} onInput=${setValue} />
    <//>
  `;
}

function Delete({ name, perform, onClose }) {
  const [sure, setSure] = useState(false);
  return html`
    <${Confirm} title=${t("steps.deleteTitle", { name })} text=${t("steps.deleteText")} action=${t("steps.deleteYes")} danger ready=${sure} perform=${perform} onClose=${onClose}>
      <label class="check"><input type="checkbox" checked=${sure} onChange=${(event) => setSure(event.target.checked)} /> ${t("steps.deleteSure")}</label>
    <//>
  `;
}
