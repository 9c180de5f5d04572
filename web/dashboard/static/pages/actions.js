/** The list of actions, as they go on. */

import { EntityChoice } from "../components/entities.js";
import { Choice } from "../components/field.js";
import { List } from "../components/states.js";
import { Progress, Status } from "../components/status.js";
import { useEvents } from "../lib/events.js";
import { number, relative, time } from "../lib/format.js";
import { usePages } from "../lib/load.js";
import { href, refine, route } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t, textOr } from "../lib/texts.js";
import { html } from "../lib/ui.js";

const STATUSES = ["OPEN", "SCHEDULED", "QUEUED", "PROCESSING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"];
const PAGE = 25;

export function Actions() {
  const { query } = useStore(route);
  const asked = { status: query.get("status") ?? "", entityType: query.get("entityType") ?? "", limit: PAGE };
  const pages = usePages("/bulk-actions", asked);
  useEvents("/events", ({ data }) => {
    const known = pages.items?.some((action) => action.actionId === data.actionId);
    if (known) pages.replace((before) => ({ ...before, items: before.items.map((each) => merge(each, data)) }));
    // Another one has been made, perhaps by somebody else.
    else if (!pages.loading) pages.reload();
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
        options=${[["", t("app.all")], ...STATUSES.map((status) => [status, textOr(`status.${status}`, status)])]}
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

/** The counters of an event over those of an entry; what is older than what is shown changes nothing. */
function merge(action, stats) {
  if (action.actionId !== stats.actionId || (action.updatedAt ?? "") > (stats.updatedAt ?? "")) return action;
  return { ...action, ...stats };
}

function Row({ action }) {
  const name = action.fileName ?? t("actions.unnamed");
  return html`
    <tr>
      <th scope="row">
        <a href=${href(["actions", action.actionId])}>${name}</a>
        <span class="quiet">${textOr(`types.${action.actionType}`, action.actionType)} · ${action.entityType}</span>
      </th>
      <td data-label=${t("actions.status")}><${Status} status=${action.status} /></td>
      <td data-label=${t("actions.progress")}><${Progress} counts=${action} label=${t("actions.progressOf", { name })} /></td>
      <td data-label=${t("actions.rows")} class="number">${number(action.totalCount)}</td>
      <td data-label=${t("counts.failed")} class="number">${number(action.failureCount)}</td>
      <td data-label=${t("actions.created")}><time datetime=${action.createdAt} title=${time(action.createdAt)}>${relative(action.createdAt)}</time></td>
    </tr>
  `;
}

function Nothing({ filtered }) {
  if (filtered) return html`<p>${t("actions.noneFound")}</p>`;
  return html`<p>${t("actions.none")}</p>${may("operator") && html`<a class="button primary" href=${href(["import"])}>${t("actions.new")}</a>`}`;
}
