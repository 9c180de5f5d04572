/** Search over what has happened: to actions, chunks and rows, and to the account. */

import { Changes } from "../components/changes.js";
import { EntityChoice, entityName, recordName } from "../components/entities.js";
import { Choice, Text } from "../components/field.js";
import { List } from "../components/states.js";
import { statusName } from "../components/status.js";
import { Searched, Time } from "../components/time.js";
import { askedIn, dayAfter, facetsOf, marked, PARAMETERS, searchedIn } from "../domain/events.js";
import { fromField, toField } from "../domain/moments.js";
import { STATUSES } from "../domain/progress.js";
import { date, number, time } from "../lib/format.js";
import { usePages } from "../lib/load.js";
import { go, href, route } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t, textOr } from "../lib/texts.js";
import { html, useEffect, useState } from "../lib/ui.js";

const LEVELS = ["info", "warning", "error"];
/** Of actions, and of rows. */
const ALL_STATUSES = [...STATUSES, "SKIPPED"];
const TYPES = [
  ...[
    "created",
    "open",
    "scheduled",
    "queued",
    "processing",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "retried",
  ].map((each) => `action.${each}`),
  ...["chunk.completed", "chunk.dead", "chunk.reissued", "row.failed", "row.skipped", "dispatch.failed"],
  ...["dead_letter.stored", "dead_letter.replayed", "limit.hit"],
];
/** Only admins are shown these. */
const SECURITY = ["credential.refused", "key.made", "key.revoked"];
/** So many values of a facet are shown. */
const MOST = 12;

const typeName = (type) => textOr(`eventTypes.${type}`, type);

/** The address of this search with something else. */
const refined = (asked, changes) => href(["search"], { ...asked, ...changes });

export function Search() {
  const { query } = useStore(route);
  const asked = askedIn(query);
  const pages = usePages("/search", asked, (data) => data.events);
  function search(values) {
    if (JSON.stringify(askedIn(new URLSearchParams(values))) === JSON.stringify(asked)) pages.reload();
    else go(["search"], values);
  }
  const { answers, error, loading } = pages;
  const shown = error ? null : answers;
  return html`
    <div class="heading"><h1>${t("search.title")}</h1></div>
    <${Form} asked=${asked} onSearch=${search} />
    <${Asked} asked=${asked} />
    <p role="status" class="quiet">${loading ? t("app.loading") : shown && summary(pages)}</p>
    ${shown && html`<${Facets} asked=${asked} answers=${shown} />`}
    ${
      shown?.[0].changes &&
      html`
        <section>
          <h2>${t("search.changes")}</h2>
          ${shown[0].changes.length > 0 ? html`<${Changes} changes=${shown[0].changes} />` : html`<p>${t("search.noChanges")}</p>`}
          ${!shown[0].changesComplete && html`<p class="hint">${t("search.moreChanges")}</p>`}
        </section>
      `
    }
    <section aria-busy=${loading}>
      <h2 class=${shown?.[0].changes ? "" : "hidden"}>${t("search.events")}</h2>
      <${List}
        pages=${error ? { ...pages, items: undefined } : pages}
        more=${shown?.[0].engine === "ledger" ? t("search.goOn") : t("app.more")}
        empty=${html`<p>${pages.next ? t("search.noneYet") : t("search.none")}</p>`}
      >
        ${(events) => html`
          <ol class="events">
            ${events.map((event) => html`<${Event} key=${event.id} event=${event} asked=${asked} />`)}
          </ol>
        `}
      <//>
    </section>
  `;
}

/** What was found, by what, and how far it was looked. */
function summary({ items, answers, next }) {
  const searched = searchedIn(answers);
  const found = t(next ? "search.found" : "search.foundAll", { count: items.length });
  return html`${found} ${searched ? html`${t("search.ledger")} <${Searched} searched=${searched} />` : t("search.index")}`;
}

function Form({ asked, onSearch }) {
  const key = JSON.stringify(asked);
  const [values, setValues] = useState(asked);
  // The address says what is asked for, also when one goes back to it.
  useEffect(() => setValues(asked), [key]);
  const field = (name) => ({ value: values[name] ?? "", onInput: (value) => setValues({ ...values, [name]: value }) });
  const chosen = (name) => ({
    value: values[name] ?? "",
    onChange: (value) => setValues({ ...values, [name]: value }),
  });
  const moment = (name) => ({
    value: toField(values[name]),
    type: "datetime-local",
    onInput: (value) => setValues({ ...values, [name]: fromField(value) }),
  });
  const options = (all, named) => [["", t("app.all")], ...all.map((each) => [each, named(each)])];
  const types = may("admin") ? [...TYPES, ...SECURITY] : TYPES;
  const plain = { autocomplete: "off", spellcheck: false };
  const [refining, setRefining] = useState(() => PARAMETERS.some((name) => name !== "q" && asked[name]));
  function submit(event) {
    event.preventDefault();
    onSearch(values);
  }
  return html`
    <form role="search" class="panel" onSubmit=${submit}>
      <div class="ask">
        <${Text} label=${t("search.words")} hint=${t("search.wordsHint")} ...${field("q")} type="search" maxlength="200" />
        <button type="submit" class="primary">${t("search.submit")}</button>
      </div>
      <details open=${refining} onToggle=${(event) => setRefining(event.target.open)}>
        <summary>${t("search.refine")}</summary>
        <div class="columns dense">
          <${Choice} label=${t("search.level")} options=${options(LEVELS, (each) => t(`levels.${each}`))} ...${chosen("level")} />
          <${Choice} label=${t("search.type")} options=${options(types, typeName)} ...${chosen("type")} />
          <${Choice} label=${t("search.status")} options=${options(ALL_STATUSES, statusName)} ...${chosen("status")} />
          <${EntityChoice} ...${chosen("entityType")} />
          <${Text} label=${t("search.code")} ...${field("code")} ...${plain} placeholder="INVALID_EMAIL" />
          <${Text} label=${t("search.row")} ...${field("row")} ...${plain} inputmode="numeric" pattern="[0-9]*" />
          <${Text} label=${t("search.recordId")} ...${field("recordId")} ...${plain} />
          <${Text} label=${t("search.email")} ...${field("email")} ...${plain} inputmode="email" />
          <${Text} label=${t("search.from")} ...${moment("from")} />
          <${Text} label=${t("search.to")} ...${moment("to")} />
          <${Text} label=${t("search.actionId")} ...${field("actionId")} ...${plain} />
        </div>
      </details>
    </form>
  `;
}

/** How the value of a parameter is called. */
function wordsFor(name, value) {
  if (name === "level") return t(`levels.${value}`);
  if (name === "type") return typeName(value);
  if (name === "status") return statusName(value);
  if (name === "entityType") return entityName(value);
  return name === "from" || name === "to" ? time(value) : value;
}

/** What is asked for beside the words, each to be taken away by a click. */
function Asked({ asked }) {
  const refinements = Object.entries(asked).filter(([name]) => name !== "q");
  if (refinements.length === 0) return null;
  const label = (name) => (name === "entityType" ? t("actions.entity") : t(`search.${name}`));
  return html`
    <ul class="chips" aria-label=${t("search.refinedBy")}>
      ${refinements.map(([name, value]) => {
        const text = `${label(name)}: ${wordsFor(name, value)}`;
        return html`
          <li key=${name}><a class="chip" href=${refined(asked, { [name]: "" })} aria-label=${t("search.without", { text })}>${text} <span aria-hidden="true">×</span></a></li>
        `;
      })}
      <li><a href=${href(["search"], { q: asked.q })}>${t("search.withoutAll")}</a></li>
    </ul>
  `;
}

/** How many have which code, status, entity and day: each asks for these alone. */
function Facets({ asked, answers }) {
  const facets = facetsOf(answers);
  const kinds = [
    ["code", "search.code", (value) => value, (value) => ({ code: value })],
    ["status", "search.status", statusName, (value) => ({ status: value })],
    ["entity", "actions.entity", entityName, (value) => ({ entityType: value })],
    [
      "day",
      "search.day",
      date,
      (value) => ({ from: `${value}T00:00:00.000Z`, to: `${dayAfter(value)}T00:00:00.000Z` }),
    ],
  ].filter(
    ([facet]) => (facets[facet] ?? []).length > 1 || (facet === "code" && facets[facet]?.length > 0 && !asked.code),
  );
  if (kinds.length === 0) return null;
  return html`
    <section class="facets" aria-label=${t("search.facets")}>
      ${kinds.map(
        ([facet, title, named, asks]) => html`
          <div key=${facet}>
            <h2>${t(title)}</h2>
            <ul class="chips">
              ${facets[facet].slice(0, MOST).map(
                ([value, count]) => html`
                  <li key=${value}><a class="chip" href=${refined(asked, asks(value))}>${named(value)} <b>${number(count)}</b></a></li>
                `,
              )}
            </ul>
          </div>
        `,
      )}
    </section>
  `;
}

function Event({ event, asked }) {
  const { actionId, row, recordId, entityType, code } = event;
  const said = (name, value) =>
    value !== undefined && html`<li>${t(`search.${name}`)}: <span class="code">${value}</span></li>`;
  const rows = event.firstRow && `${number(event.firstRow)}–${number(event.lastRow)}`;
  return html`
    <li class="panel event">
      <p class="meta">
        <span class=${`status level-${event.level}`}>${textOr(`levels.${event.level}`, event.level)}</span>
        <b>${typeName(event.type)}</b>
        <${Time} at=${event.at} />
        ${event.count > 1 && html`<span>${t("search.times", { count: event.count })}</span>`}
      </p>
      <p class="message">${marked(event.message, event.highlights).map((part) => (part.found ? html`<mark>${part.text}</mark>` : part.text))}</p>
      <ul class="facts">
        ${actionId && html`<li><a href=${href(["actions", actionId])}>${t("search.import")} <span class="code">${actionId}</span></a></li>`}
        ${actionId && row && html`<li><a href=${href(["search"], { actionId, row })}>${t("search.row")} ${number(row)}</a></li>`}
        ${recordId && entityType && html`<li><a href=${href(["records", entityType, recordId])}>${recordName(entityType, recordId)}</a></li>`}
        ${code && html`<li><a class="code" href=${refined(asked, { code })}>${code}</a></li>`}
        ${said("column", event.column)} ${said("chunk", event.chunk)} ${said("rows", rows || undefined)}
        ${said("email", event.email)} ${said("actor", event.actor)} ${said("source", event.source)}
      </ul>
    </li>
  `;
}
