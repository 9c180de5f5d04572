/** The rows of an action with what became of them, to take away. */

import { hasEnded } from "../../domain/progress.js";
import { path } from "../../lib/api.js";
import { download } from "../../lib/downloads.js";
import { bytes } from "../../lib/format.js";
import { t } from "../../lib/texts.js";
import { html, useEffect, useRef, useState } from "../../lib/ui.js";
import { Problem } from "../states.js";

const NDJSON = "application/x-ndjson";

export function Downloads({ action }) {
  const [state, setState] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const files = [
    ["failed", { status: "FAILED" }, action.failureCount],
    ["failedOrSkipped", { status: "FAILED,SKIPPED" }, action.failureCount > 0 && action.skippedCount],
    ["all", {}, action.processedCount],
    ["allAsJson", {}, action.processedCount, NDJSON],
  ].filter(([, , count]) => count > 0);

  async function start(name, query, accept, button) {
    if (running.current) return;
    const ends = new AbortController();
    running.current = ends;
    setState({ name, bytes: 0 });
    const onProgress = (so_far) => setState({ name, bytes: so_far });
    try {
      const route = path("bulk-actions", action.actionId, "results");
      await download(route, query, `${action.actionId}.csv`, { accept, signal: ends.signal, onProgress });
      setState({ name, done: true });
    } catch (error) {
      setState(error.name === "AbortError" ? null : { name, error });
    } finally {
      running.current = null;
      // Not lost with the button that stops it.
      if (document.activeElement === document.body) button.focus();
    }
  }
  if (files.length === 0) return html`<p class="quiet">${t("downloads.none")}</p>`;
  return html`
    <div class="buttons">
      ${files.map(
        ([name, query, , accept]) => html`
          <button type="button" key=${name} aria-disabled=${running.current !== null} onClick=${(event) => start(name, query, accept, event.currentTarget)}>
            ${t(`downloads.${name}`)}
          </button>
        `,
      )}
    </div>
    ${!hasEnded(action) && html`<p class="quiet">${t("downloads.soFar")}</p>`}
    <p role="status" class="quiet">
      ${state?.bytes !== undefined && t("downloads.running", { name: t(`downloads.${state.name}`) })}
      ${state?.done && t("downloads.done", { name: t(`downloads.${state.name}`) })}
    </p>
    ${
      state?.bytes !== undefined &&
      html`<p>${bytes(state.bytes)} <button type="button" class="plain" onClick=${() => running.current?.abort()}>${t("downloads.stop")}</button></p>`
    }
    ${state?.error && html`<${Problem} error=${state.error} />`}
  `;
}
