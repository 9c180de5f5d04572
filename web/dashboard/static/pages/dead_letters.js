/** Dead letters: what could not be done, and doing it again. */

import { Confirm } from "../components/dialog.js";
import { Choice } from "../components/field.js";
import { Empty, List, Loaded } from "../components/states.js";
import { Time } from "../components/time.js";
import { change, path, read } from "../lib/api.js";
import { number } from "../lib/format.js";
import { useEvery, useLoad, usePages } from "../lib/load.js";
import { tell } from "../lib/notices.js";
import { href, refine, route } from "../lib/router.js";
import { may } from "../lib/session.js";
import { useStore } from "../lib/store.js";
import { t, textOr } from "../lib/texts.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";

const STATES = ["DEAD", "REPLAYED", "DONE"];
const PAGE = 25;
/** So many characters of a payload are shown at first. */
const BEGINNING = 4000;

const kindName = (kind) => textOr(`letterKinds.${kind}`, kind);

function State({ letter }) {
  return html`<span class=${`status letter-${letter.status.toLowerCase()}`}>${textOr(`letterStates.${letter.status}`, letter.status)}</span>`;
}

export function DeadLetters() {
  const { query } = useStore(route);
  const asked = { status: query.get("status") ?? "", actionId: query.get("actionId") ?? "" };
  const pages = usePages("/dead-letters", { ...asked, limit: PAGE });
  const options = [["", t("app.all")], ...STATES.map((state) => [state, t(`letterStates.${state}`)])];
  return html`
    <div class="heading"><h1>${t("letters.title")}</h1></div>
    <p class="quiet">${t("letters.explanation")}</p>
    <div class="filters">
      <${Choice} label=${t("letters.status")} value=${asked.status} options=${options} onChange=${(status) => refine({ ...asked, status })} />
    </div>
    ${
      asked.actionId &&
      html`
        <ul class="chips">
          <li>
            <a class="chip" href=${href(["dead-letters"], { status: asked.status })} aria-label=${t("letters.ofAll")}>
              ${t("letters.of")} <span class="code">${asked.actionId}</span> <span aria-hidden="true">×</span>
            </a>
          </li>
        </ul>
      `
    }
    <${List} pages=${pages} empty=${html`<p>${t(asked.status || asked.actionId ? "letters.noneFound" : "letters.none")}</p>`}>
      ${(letters) => html`
        <table class="list">
          <thead>
            <tr>
              <th scope="col">${t("letters.what")}</th>
              <th scope="col">${t("letters.status")}</th>
              <th scope="col">${t("letters.error")}</th>
              <th scope="col" class="number">${t("letters.rows")}</th>
              <th scope="col">${t("letters.at")}</th>
            </tr>
          </thead>
          <tbody>${letters.map((letter) => html`<${Row} key=${letter.id} letter=${letter} />`)}</tbody>
        </table>
      `}
    <//>
  `;
}

function Row({ letter }) {
  return html`
    <tr>
      <th scope="row">
        <a href=${href(["dead-letters", letter.id])}>${kindName(letter.kind)}</a>
        <span class="quiet code">${letter.id}</span>
      </th>
      <td data-label=${t("letters.status")}><${State} letter=${letter} /></td>
      <td data-label=${t("letters.error")}><div class="short">${letter.error}</div></td>
      <td data-label=${t("letters.rows")} class="number">${rowsOf(letter) ?? "–"}</td>
      <td data-label=${t("letters.at")}><${Time} at=${letter.at} /></td>
    </tr>
  `;
}

/** The rows of a chunk, such as `2,001–4,000`; undefined: it is none. */
function rowsOf({ firstRow, rowCount }) {
  return firstRow === null || rowCount === null ? undefined : `${number(firstRow)}–${number(firstRow + rowCount - 1)}`;
}

export function Letter({ parts: [, id] }) {
  const load = useLoad(async (signal) => (await read(path("dead-letters", id), { signal })).data, [id]);
  if (load.error?.status === 404) {
    return html`<${Empty}><h1>${t("letters.gone")}</h1><a href=${href(["dead-letters"])}>${t("letters.back")}</a><//>`;
  }
  return html`
    <p><a href=${href(["dead-letters"])}>${t("letters.back")}</a></p>
    <div class="heading"><h1>${load.data ? kindName(load.data.kind) : t("letters.one")}</h1></div>
    <${Loaded} load=${load}>${(letter) => html`<${Whole} letter=${letter} load=${load} />`}<//>
  `;
}

function Whole({ letter, load }) {
  const [asking, setAsking] = useState(false);
  useReplay(letter, load);
  const { origin } = letter;
  const facts = [
    ["status", html`<${State} letter=${letter} />`],
    ["error", letter.error],
    ["at", html`<${Time} at=${letter.at} />`],
    [
      "import",
      letter.actionId && html`<a class="code" href=${href(["actions", letter.actionId])}>${letter.actionId}</a>`,
    ],
    ["chunk", letter.index !== null && number(letter.index)],
    ["rows", rowsOf(letter)],
    ["retries", number(letter.retryCount)],
    ["firstFailure", letter.firstFailure && html`<${Time} at=${letter.firstFailure} />`],
    ["replayed", letter.replayedAt && html`<${Time} at=${letter.replayedAt} /> ${letter.replayedBy}`],
    ["origin", t("letters.place", { ...origin, offset: String(origin.offset) })],
    ["id", html`<span class="code">${letter.id}</span>`],
  ];
  async function replay() {
    try {
      await change("POST", `${path("dead-letters", letter.id)}/replay`);
      tell(t("letters.begun"));
    } catch (error) {
      // It is not as it was shown.
      if (error.status === 409) load.reload();
      throw error;
    }
    load.reload();
  }
  return html`
    <table class="fields panel">
      <tbody>
        ${facts.map(([name, value]) => value && html`<tr key=${name}><th scope="row">${t(`letters.${name}`)}</th><td>${value}</td></tr>`)}
      </tbody>
    </table>
    ${letter.kind === "ROWS" && html`<p class="warning">${t("problems.ROWS_REFUSED")}</p>`}
    ${
      letter.status === "DEAD" &&
      letter.kind !== "ROWS" &&
      may("admin") &&
      html`<div class="buttons"><button type="button" class="primary" onClick=${() => setAsking(true)}>${t("letters.replay")}</button></div>`
    }
    <${Payload} letter=${letter} />
    ${
      asking &&
      html`<${Confirm} title=${t("letters.replay")} text=${t(letter.kind === "CHUNK" ? "letters.replayChunk" : "letters.replayOther")} action=${t("letters.replay")} perform=${replay} onClose=${() => setAsking(false)} />`
    }
  `;
}

/** Looks again while a replay runs, and tells what has become of it. */
function useReplay(letter, load) {
  const before = useRef(letter.status);
  useEffect(() => {
    if (before.current === "REPLAYED" && letter.status === "DONE") tell(t("letters.done"));
    if (before.current === "REPLAYED" && letter.status === "DEAD")
      tell(t("letters.deadAgain", { error: letter.error }), "problem");
    before.current = letter.status;
  }, [letter.status]);
  useEvery(2, () => letter.status === "REPLAYED" && load.reload());
}

function Payload({ letter }) {
  const [whole, setWhole] = useState(false);
  const { payload } = letter;
  const cut = !whole && payload.length > BEGINNING;
  return html`
    <section>
      <h2>${t(letter.payloadEncoding === "utf-8" ? "letters.payload" : "letters.binary")}</h2>
      <pre class="payload" tabindex="0" role="region" aria-label=${t("letters.payload")}>${cut ? `${payload.slice(0, BEGINNING)}…` : payload}</pre>
      ${cut && html`<button type="button" onClick=${() => setWhole(true)}>${t("letters.showAll", { count: payload.length })}</button>`}
    </section>
  `;
}
