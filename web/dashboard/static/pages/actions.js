/** The list of actions, as they go on. */

import { EntityChoice, entityName } from "../components/entities.js";
import { Choice } from "../components/field.js";
import { List } from "../components/states.js";
import { actionName, actionTypeName, Progress, Status, statusName } from "../components/status.js";
import { Ago } from "../components/time.js";
import { merged, STATUSES } from "../domain/progress.js";
import { useEvents } from "../lib/events.js";
import { duration, number } from "../lib/format.js";
import { useEvery, usePages } from "../lib/load.js";
import { href, refine, route } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t } from "../lib/texts.js";
import { html, useRef } from "../lib/ui.js";

const PAGE = 25;
/** Seconds after which the list is read again: nothing tells of actions that are deleted. */
const AGAIN = 30;

const idOf = (action) => action.actionId;

export function Actions() {
  const { query } = useStore(route);
  const asked = { status: query.get("status") ?? "", entityType: query.get("entityType") ?? "", limit: PAGE };
  const pages = usePages("/bulk-actions", asked);
  const lookedFor = useRef(new Set());
  const refresh = () => pages.refresh(idOf, merged);
  useEvery(AGAIN, refresh);
  useEvents("/events", ({ data }) => {
    if (pages.items === undefined) return;
    if (pages.items.some((action) => idOf(action) === idOf(data))) {
      pages.replace((before) => ({ ...before, items: changed(before.items, data, asked.status) }));
      return;
    }
    // Another one, which may belong here; or one of a page that is not shown, which is looked for once.
    const news = `${idOf(data)} ${data.status}`;
    if ((asked.status && data.status !== asked.status) || lookedFor.current.has(news)) return;
    lookedFor.current.add(news);
    refresh();
  });
  return html`
    <div class="heading">
      <h1>${t("actions.title")}</h1>
      ${may("operator") && html`<a class="button primary" href=${href(["import"])}>${t("actions.new")}</a>`}
    </div>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Choice}
        label=${t("actions.status")}
        value=${asked.status}
        options=${[["", t("app.all")], ...STATUSES.map((status) => [status, statusName(status)])]}
        onChange=${(status) => refine({ status, entityType: asked.entityType })}
      />
      <${EntityChoice} value=${asked.entityType} onChange=${(entityType) => refine({ status: asked.status, entityType })} />
    </form>
    <${List} pages=${pages} empty=${html`<${Nothing} filtered=${asked.status || asked.entityType} />`}>
      ${(items) => html`
        <table class="list">
          <thead>
            <tr>
              <th scope="col">${t("actions.file")}</th>
              <th scope="col">${t("actions.status")}</th>
              <th scope="col">${t("actions.progress")}</th>
              <th scope="col" class="number">${t("actions.rows")}</th>
              <th scope="col" class="number">${t("counts.failed")}</th>
              <th scope="col">${t("actions.created")}</th>
            </tr>
          </thead>
          <tbody>${items.map((action) => html`<${Row} key=${action.actionId} action=${action} />`)}</tbody>
        </table>
      `}
    <//>
  `;
}

/** The entries with what an event says of one of them, which may not be of this status any more. */
function changed(items, data, status) {
  const all = items.map((each) => (idOf(each) === idOf(data) ? merged(each, data) : each));
  return status ? all.filter((each) => each.status === status) : all;
}

function Row({ action }) {
  const name = actionName(action);
  return html`
    <tr>
      <th scope="row">
        <a href=${href(["actions", action.actionId])}>${name}</a>
        <span class="quiet">${actionTypeName(action.actionType)} · ${entityName(action.entityType)}</span>
      </th>
      <td data-label=${t("actions.status")}><${Status} status=${action.status} /></td>
      <td data-label=${t("actions.progress")}>
        <div>
          <${Progress} counts=${action} label=${t("actions.progressOf", { name })} />
          <${Coming} action=${action} />
        </div>
      </td>
      <td data-label=${t("actions.rows")} class="number">${number(action.totalCount)}</td>
      <td data-label=${t("counts.failed")} class="number">${number(action.failureCount)}</td>
      <td data-label=${t("actions.created")}><${Ago} at=${action.createdAt} /></td>
    </tr>
  `;
}

/** When it begins, or how long it still takes. */
function Coming({ action }) {
  if (action.status === "SCHEDULED")
    return html`<span class="quiet">${t("actions.begins")} <${Ago} at=${action.scheduledAt} /></span>`;
  if (action.status !== "PROCESSING" || action.etaSeconds == null) return null;
  return html`<span class="quiet">${t("action.left", { time: duration(action.etaSeconds) })}</span>`;
}

function Nothing({ filtered }) {
  if (filtered) return html`<p>${t("actions.noneFound")}</p>`;
  return html`<p>${t("actions.none")}</p>${may("operator") && html`<a class="button primary" href=${href(["import"])}>${t("actions.new")}</a>`}`;
}
