/** The workers: which there are, and how each of them is. */

import { Empty, Loaded } from "../components/states.js";
import { Time } from "../components/time.js";
import { read, send, url } from "../lib/api.js";
import { bytes, number, relative, time } from "../lib/format.js";
import { useEvery, useLoad } from "../lib/load.js";
import { t, textOr } from "../lib/texts.js";
import { html } from "../lib/ui.js";

/** Seconds after which the workers are asked for again. */
const AGAIN = 5;

export function Workers() {
  const load = useLoad(ask, []);
  useEvery(AGAIN, load.reload);
  return html`
    <div class="heading">
      <h1>${t("workers.title")}</h1>
      ${load.data && html`<span class="quiet">${t("workers.asOf", { time: time(load.data.at) })}</span>`}
    </div>
    <${Loaded} load=${load}>
      ${(data) => html`
        ${data.only && html`<p class="warning">${t("workers.only")}</p>`}
        ${!data.complete && html`<p class="warning">${t("workers.incomplete")}</p>`}
        <p class="hidden" role="status">${summary(data.workers)}</p>
        ${data.workers.length === 0 && html`<${Empty}><p>${t("workers.none")}</p><//>`}
        ${data.workers.map((worker) => html`<${Worker} key=${worker.workerId} worker=${worker} at=${data.at} />`)}
      `}
    <//>
  `;
}

/** The list of all; for who may not see that, what is said by the one that answers. */
async function ask(signal) {
  try {
    return (await read("/workers", { signal })).data;
  } catch (error) {
    if (error.status !== 403) throw error;
  }
  // What it depends on being away is an answer, too.
  const { status, dependencies = [], checks } = await (await send(url("/ready"), { signal })).json();
  const state = status === "UP" ? "READY" : checks?.worker === "STARTING" ? "STARTING" : "NOT_READY";
  return {
    only: true,
    complete: true,
    at: new Date().toISOString(),
    workers: [{ workerId: "", self: true, state, dependencies }],
  };
}

/** How many are in which state: said aloud when it changes, unlike all the figures. */
function summary(workers) {
  const counts = {};
  for (const { state } of workers) counts[state] = (counts[state] ?? 0) + 1;
  return Object.entries(counts)
    .map(([state, count]) => `${stateName(state)}: ${number(count)}`)
    .join(", ");
}

const stateName = (state) => textOr(`workerStates.${state}`, state);

function Worker({ worker, at }) {
  const { workerId, state, host, port } = worker;
  const partitions = worker.partitions && Object.entries(worker.partitions);
  const said = [worker.leader && t("workers.leader"), worker.self && host && t("workers.self")].filter(Boolean);
  const facts = [
    ["version", worker.version],
    ["since", worker.startedAt && html`<${Time} at=${worker.startedAt} />`],
    ["seen", state === "LOST" && relative(worker.seenAt, Date.parse(at))],
    [
      "speed",
      worker.rowsPerSecond !== undefined && t("workers.perSecond", { count: Math.round(worker.rowsPerSecond) }),
    ],
    ["chunks", number(worker.chunksInHand)],
    ["memory", bytes(worker.memoryBytes)],
    [
      "open",
      worker.openUploads !== undefined &&
        t("workers.openOf", {
          uploads: worker.openUploads,
          downloads: worker.openDownloads,
          streams: worker.openStreams,
        }),
    ],
    [
      "partitions",
      partitions &&
        (partitions.map(([topic, count]) => `${topic}: ${number(count)}`).join("\n") || t("workers.noPartitions")),
    ],
    ["process", worker.pid !== undefined && String(worker.pid)],
  ].filter(([, value]) => value);
  return html`
    <article class="panel worker" aria-labelledby=${`worker-${workerId}`}>
      <div class="heading">
        <h2 id=${`worker-${workerId}`}>${host ? `${host}:${port}` : t("workers.this")}</h2>
        <span>
          <span class="quiet">${said.join(" · ")}</span>${" "}
          <span class=${`status worker-${state.toLowerCase()}`}>${stateName(state)}</span>
        </span>
      </div>
      ${host && html`<dl class="figures">${facts.map(([name, value]) => html`<div key=${name}><dt>${t(`workers.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`}
      ${state !== "LOST" && html`<${Dependencies} dependencies=${worker.dependencies} />`}
    </article>
  `;
}

function Dependencies({ dependencies }) {
  if (dependencies.length === 0) return null;
  return html`
    <table class="list">
      <caption>${t("workers.dependencies")}</caption>
      <thead>
        <tr>
          <th scope="col">${t("workers.dependency")}</th>
          <th scope="col">${t("workers.state")}</th>
          <th scope="col" class="number">${t("workers.latency")}</th>
          <th scope="col">${t("workers.since")}</th>
          <th scope="col">${t("workers.lastError")}</th>
        </tr>
      </thead>
      <tbody>
        ${dependencies.map(
          ({ name, required, ok, since, latencyMs, lastError, lastErrorAt }) => html`
            <tr key=${name}>
              <th scope="row">${name}${!required && html` <span class="quiet">${t("workers.optional")}</span>`}</th>
              <td data-label=${t("workers.state")}><span class=${`status ${ok ? "worker-ready" : "worker-lost"}`}>${t(ok ? "workers.up" : "workers.down")}</span></td>
              <td data-label=${t("workers.latency")} class="number">${t("workers.milliseconds", { count: number(latencyMs, 1) })}</td>
              <td data-label=${t("workers.since")}><${Time} at=${since} /></td>
              <td data-label=${t("workers.lastError")}>${lastError ? html`<div>${lastError} <span class="quiet"><${Time} at=${lastErrorAt} /></span></div>` : "–"}</td>
            </tr>
          `,
        )}
      </tbody>
    </table>
  `;
}
