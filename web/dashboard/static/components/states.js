/** What is shown while something is loaded, when it failed, and when there is nothing. */

import { Unreachable } from "../lib/api.js";
import { t, textOr } from "../lib/texts.js";
import { html } from "../lib/ui.js";
import { statusName } from "./status.js";

/** An error in words: the server's own, unless there are some in the language of the user. */
export function describe(error) {
  if (error instanceof Unreachable) return t("app.unreachable");
  const { code, message, body } = error;
  const status = body?.status && statusName(body.status);
  return textOr(`problems.${code}`, message, { message, status });
}

export function Problem({ error, retry }) {
  return html`
    <div class="problem" role="alert">
      <p>${describe(error)}</p>
      ${error.errors?.length > 1 && html`<ul>${error.errors.map((each) => html`<li>${each.message}</li>`)}</ul>`}
      ${error.requestId && html`<p class="quiet">${t("app.requestId", { id: error.requestId })}</p>`}
      ${retry && html`<button type="button" onClick=${retry}>${t("app.tryAgain")}</button>`}
    </div>
  `;
}

export function Loading() {
  return html`<p class="loading" role="status">${t("app.loading")}</p>`;
}

export function Empty({ children }) {
  return html`<div class="empty">${children}</div>`;
}

/**
 * Shows a list in each of its states.
 *
 * @param {{ pages: object, empty: any, more?: string, children: (items: any[]) => any }} props `pages` as of `usePages`;
 *   `more`: what the button for the next page says
 */
export function List({ pages, empty, more = t("app.more"), children }) {
  const { items, error, loading, reload, next, loadMore, more: following } = pages;
  if (items === undefined) return loading ? html`<${Loading} />` : html`<${Problem} error=${error} retry=${reload} />`;
  return html`
    ${error && html`<${Problem} error=${error} retry=${reload} />`}
    ${items.length > 0 ? children(items) : html`<${Empty}>${empty}<//>`}
    ${following.error && html`<${Problem} error=${following.error} />`}
    ${next && html`<button type="button" class="more" disabled=${following.busy} onClick=${loadMore}>${more}</button>`}
  `;
}

/** Shows one thing that is loaded; `load` as of `useLoad`. */
export function Loaded({ load, children }) {
  if (load.data === undefined) {
    return load.loading ? html`<${Loading} />` : html`<${Problem} error=${load.error} retry=${load.reload} />`;
  }
  return html`${load.error && html`<${Problem} error=${load.error} retry=${load.reload} />`}${children(load.data)}`;
}
