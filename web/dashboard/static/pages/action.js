/** One action, as it goes on. */

import { Counters } from "../components/action/counters.js";
import { Details, History } from "../components/action/details.js";
import { Downloads } from "../components/action/downloads.js";
import { Failures, Rows } from "../components/action/failures.js";
import { Speed } from "../components/action/speed.js";
import { Steps } from "../components/action/steps.js";
import { entityName } from "../components/entities.js";
import { Empty, Loaded } from "../components/states.js";
import { actionName, actionTypeName, Status } from "../components/status.js";
import { Ago, Time } from "../components/time.js";
import { hasEnded, merged } from "../domain/progress.js";
import { path, read } from "../lib/api.js";
import { useEvents } from "../lib/events.js";
import { utc } from "../lib/format.js";
import { useEvery, useLoad } from "../lib/load.js";
import { href, refine, route } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";

/** Seconds after which it is asked for again: what is done after its end, such as a retry, is no event of it. */
const AGAIN = 15;

export function Action({ parts: [, id] }) {
  const own = path("bulk-actions", id);
  const load = useLoad(async (signal) => (await read(own, { signal })).data, [id]);
  useEvery(AGAIN, load.reload);
  const [stats, setStats] = useState(null);
  useEvents(
    `${own}/events`,
    ({ data }) => {
      setStats(data);
      if (isNews(load.data, data)) load.reload();
    },
    load.reload,
  );
  if (load.error?.status === 404) {
    return html`
      <${Empty}>
        <h1>${t(load.data ? "action.deleted" : "action.unknown")}</h1>
        <p>${t(load.data ? "action.deletedText" : "action.unknownText")}</p>
        <a class="button" href=${href(["actions"])}>${t("action.toList")}</a>
      <//>
    `;
  }
  // The speed is told by events alone, be they older than the rest.
  const now = (action) => (stats === null ? action : merged({ ...stats, ...action }, stats));
  return html`<${Loaded} load=${load}>${(action) => html`<${Shown} action=${now(action)} load=${load} />`}<//>`;
}

/** Whether an event tells of more than counters. */
function isNews(action, told) {
  if (action === undefined) return false;
  const waits = told.status === "SCHEDULED" || told.status === "QUEUED";
  return told.status !== action.status || (waits && told.updatedAt !== action.updatedAt);
}

function Shown({ action, load }) {
  const name = actionName(action);
  const { query } = useStore(route);
  const rows = query.get("rows");
  const heading = useRef(null);
  const asked = useRef(false);
  const showRows = (status) => refine({ rows: status || "all" });
  useEffect(() => {
    // Only where the user has just asked for them.
    if (asked.current) heading.current?.focus();
    asked.current = false;
  }, [rows]);
  return html`
    <p class="back"><a href=${href(["actions"])}>← ${t("action.toList")}</a></p>
    <div class="heading">
      <div>
        <h1>${name}</h1>
        <p class="quiet">
          ${actionTypeName(action.actionType)} · ${entityName(action.entityType)} · <${Ago} at=${action.createdAt} />
        </p>
      </div>
      <p role="status"><${Status} status=${action.status} /></p>
    </div>
    <${Steps}
      action=${action}
      name=${name}
      onChanged=${(changed) => load.replace((before) => merged(before, changed))}
      onRefused=${load.reload}
    />
    <${Remarks} action=${action} />
    <section class="panel" aria-labelledby="progress">
      <h2 id="progress">${t("counts.progress")}</h2>
      <${Counters} action=${action} />
      <${Speed} action=${action} />
    </section>
    <${Failures} action=${action} onRows=${() => {
      asked.current = true;
      if (rows === "FAILED") heading.current?.focus();
      else showRows("FAILED");
    }} />
    <section class="panel" aria-labelledby="downloads">
      <h2 id="downloads">${t("downloads.title")}</h2>
      <${Downloads} action=${action} />
    </section>
    ${
      rows === null
        ? html`<button type="button" class="more" onClick=${() => {
            asked.current = true;
            showRows("");
          }}>${t("rows.show")}</button>`
        : html`<${Rows} action=${action} status=${rows === "all" ? "" : rows} onStatus=${showRows} heading=${heading} />`
    }
    <${History} history=${action.history} />
    <${Details} action=${action} />
    <p class="links">
      <a href=${href(["search"], { actionId: action.actionId })}>${t("action.log")}</a>
      ${may("operator") && html`<a href=${href(["dead-letters"], { actionId: action.actionId })}>${t("action.deadLetters")}</a>`}
    </p>
  `;
}

/** What somebody should know who looks at it: why it stands still, and what belongs to it. */
function Remarks({ action }) {
  const { stream, status } = action;
  const waits = status === "SCHEDULED" || status === "QUEUED";
  const link = (id, text) => html`<p class="panel"><a href=${href(["actions", id])}>${t(text)}</a></p>`;
  return html`
    ${action.retryOf && link(action.retryOf, "action.retryOf")}
    ${action.retriedBy && link(action.retriedBy, "action.retriedBy")}
    ${
      status === "SCHEDULED" &&
      html`
        <p class="panel">
          ${t("action.begins")} <b><${Ago} at=${action.scheduledAt} /></b>: <${Time} at=${action.scheduledAt} />
          <span class="quiet"> (${utc(action.scheduledAt)})</span>
        </p>
      `
    }
    ${status === "OPEN" && html`<p class="panel">${t(stream?.declaredRows === null && stream?.declaredChunks === null ? "action.open" : "action.closing")}</p>`}
    ${
      waits &&
      action.lastDispatchError &&
      html`<p class="warning">${t("action.notStarted", { count: action.dispatchAttempts })} ${action.lastDispatchError}</p>`
    }
    ${status === "PAUSED" && html`<p class="warning">${t("action.paused")} ${action.history.at(-1)?.reason}</p>`}
    ${action.error && html`<p class="problem">${action.error}</p>`}
    ${status === "CANCELLED" && html`<p class="warning">${t("action.cancelled", { count: action.unprocessedCount })} ${action.history.at(-1)?.reason}</p>`}
    ${hasEnded(action) && action.failureCount === 0 && status === "COMPLETED" && html`<p class="good">${t("action.allGood")}</p>`}
  `;
}
