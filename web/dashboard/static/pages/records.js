/** A record as it is, and what rows have done to it. */

import { Changes } from "../components/changes.js";
import { EntityChoice, recordName } from "../components/entities.js";
import { Text } from "../components/field.js";
import { Empty, List } from "../components/states.js";
import { Searched, Time } from "../components/time.js";
import { searchedIn } from "../domain/events.js";
import { path } from "../lib/api.js";
import { number } from "../lib/format.js";
import { usePages } from "../lib/load.js";
import { go, href } from "../lib/router.js";
import { t } from "../lib/texts.js";
import { html, useState } from "../lib/ui.js";

export function Records({ parts: [, entityType = "", id = ""] }) {
  return html`
    <div class="heading"><h1>${id ? recordName(entityType, id) : t("records.title")}</h1></div>
    <${Form} entityType=${entityType} id=${id} />
    ${id && entityType && (isPlace(id) ? html`<${Unaskable} id=${id} />` : html`<${Record} entityType=${entityType} id=${id} />`)}
  `;
}

/** Browsers take such a part of a path for a place in it, however it is written. */
const isPlace = (id) => id === "." || id === "..";

function Form({ entityType, id }) {
  const [asked, setAsked] = useState({ entityType: entityType || "Contact", id });
  function submit(event) {
    event.preventDefault();
    go(["records", asked.entityType, asked.id]);
  }
  return html`
    <form role="search" class="panel ask" onSubmit=${submit}>
      <${EntityChoice} value=${asked.entityType} onChange=${(chosen) => setAsked({ ...asked, entityType: chosen })} any=${null} />
      <${Text} label=${t("records.id")} value=${asked.id} onInput=${(typed) => setAsked({ ...asked, id: typed })} required maxlength="128" autocomplete="off" spellcheck=${false} />
      <button type="submit" class="primary">${t("records.show")}</button>
    </form>
  `;
}

function Unaskable({ id }) {
  return html`<${Empty}><p>${t("records.unaskable", { id })}</p><a href=${href(["search"], { recordId: id })}>${t("records.search")}</a><//>`;
}

/** A number that a number of this language does not have exactly is text, with all its digits. */
function exact(_name, value, context) {
  return typeof value === "number" && context?.source !== undefined && String(value) !== context.source
    ? context.source
    : value;
}

function Record({ entityType, id }) {
  const pages = usePages(path("records", entityType, id), {}, (data) => data.history, { reviver: exact });
  if (pages.error?.status === 404) {
    return html`<${Empty}><p>${t("records.notFound")}</p><a href=${href(["search"], { recordId: id })}>${t("records.search")}</a><//>`;
  }
  const { answers } = pages;
  const unreadable = [...new Set(answers?.flatMap((answer) => answer.unreadable))];
  return html`
    ${answers && html`<${Now} record=${answers[0].record} audit=${answers[0].audit} />`}
    <section aria-busy=${pages.loading}>
      ${answers && html`<h2>${t("records.history")}</h2>`}
      ${answers && html`<p class="quiet" role="status"><${Searched} searched=${searchedIn(answers)} /></p>`}
      ${
        unreadable.length > 0 &&
        html`
          <div class="warning">
            <p>${t("records.unreadable")}</p>
            <ul>${unreadable.map((each) => html`<li key=${each}><a class="code" href=${href(["actions", each])}>${each}</a></li>`)}</ul>
          </div>
        `
      }
      <${List} pages=${pages} more=${t("search.goOn")} empty=${html`<p>${t(pages.next ? "records.noneYet" : "records.noHistory")}</p>`}>
        ${(changes) => html`<${Changes} changes=${changes} />`}
      <//>
    </section>
  `;
}

function Now({ record, audit }) {
  if (record === null) return html`<p class="warning">${t("records.deleted")}</p>`;
  return html`
    <div class="columns">
      <section>
        <h2>${t("records.fields")}</h2>
        <table class="fields">
          <tbody>
            ${Object.entries(record).map(
              ([name, value]) => html`<tr key=${name}><th scope="row">${name}</th><td>${shown(value)}</td></tr>`,
            )}
          </tbody>
        </table>
      </section>
      <section>
        <h2>${t("records.audit")}</h2>
        <table class="fields">
          <tbody>
            <${Written} title=${t("records.createdBy")} actionId=${audit.createdBy} />
            <${Written} title=${t("records.writtenBy")} actionId=${audit.actionId} row=${audit.row} at=${audit.at} />
            ${audit.fields && html`<tr><th scope="row">${t("records.written")}</th><td>${audit.fields.join(", ")}</td></tr>`}
          </tbody>
        </table>
      </section>
    </div>
  `;
}

function Written({ title, actionId, row, at }) {
  const where = actionId
    ? html`<a class="code" href=${href(["actions", actionId])}>${actionId}</a>`
    : t("records.otherProgram");
  return html`
    <tr>
      <th scope="row">${title}</th>
      <td>
        ${where}
        ${row && html`<br /><a href=${href(["search"], { actionId, row })}>${t("search.row")} ${number(row)}</a>`}
        ${at && html`<br /><${Time} at=${at} />`}
      </td>
    </tr>
  `;
}

/** A value of a record as text. */
function shown(value) {
  if (value === null) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
